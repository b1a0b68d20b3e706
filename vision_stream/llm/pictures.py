"""A task's picture, from the message or from the evidence store."""

from __future__ import annotations

import time

import structlog

from vision_stream.messages import AssessmentTask, InlineEvidence, StoredEvidence
from vision_stream.pictures import BadPicture, check
from vision_stream.stores import EvidenceStore

MAGIC = (b"\xff\xd8\xff", b"\x89PNG")  # JPEG, PNG: what every vision endpoint reads

_log = structlog.get_logger(__name__)


class NoPicture(Exception):
    """Why the group cannot be shown; for the operator."""


async def picture_of(task: AssessmentTask, store: EvidenceStore, *, required: bool) -> bytes | None:
    """The encoded picture; None where there is none and none is ``required``.

    Raises:
        NoPicture: it is required and missing, expired or no picture.
    """
    try:
        return _checked(await _fetch(task, store))
    except NoPicture:
        if required:
            raise
        return None


async def _fetch(task: AssessmentTask, store: EvidenceStore) -> bytes:
    evidence = task.group.evidence
    if isinstance(evidence, InlineEvidence):
        return evidence.jpeg
    if not isinstance(evidence, StoredEvidence):
        raise NoPicture(f"no picture: {evidence.reason}")
    try:
        found = await store.get(evidence.key)
    except Exception as error:
        _log.exception("the evidence store failed")
        raise NoPicture(f"no picture: the evidence store failed ({type(error).__name__})") from error
    if found is None:
        late = evidence.expires_at <= time.time()
        raise NoPicture("no picture: it has expired" if late else "no picture: it is not in the evidence store")
    return found


def _checked(picture: bytes) -> bytes:
    if not picture.startswith(MAGIC):
        raise NoPicture("no picture: the evidence is neither JPEG nor PNG")
    try:
        check(picture)
    except BadPicture as bad:  # the provider would refuse it, for the price of a call
        raise NoPicture(f"no picture: the evidence is {bad.what}") from bad
    return picture
