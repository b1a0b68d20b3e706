"""Which dead letters are worth sending again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal, NamedTuple

from vision_stream.audit.decoded import KINDS
from vision_stream.errors import MessageError
from vision_stream.messages import DeadLetter, decode
from vision_stream.settings import TopicsSettings

REPLAYED_FROM = "replayed-from"  # the header of a message that is sent again: the letter's id
CUT = ", the first "  # in the error of a message that was too large to be buried whole; see `delivery.bury`

Fate = Literal["send", "sent before", "came back", "cannot be sent", "unreadable"]


class Kept(NamedTuple):
    """A letter where it lies."""

    partition: int  # of the dead-letter topic
    offset: int
    letter: DeadLetter

    @property
    def id(self) -> str:
        return f"{self.letter.topic}-{self.letter.partition}@{self.letter.offset}"


class Verdict(NamedTuple):
    """What a replay does with a letter, and why."""

    kept: Kept
    fate: Fate
    why: str = ""


def plan(
    letters: Iterable[Kept],
    replayed: Collection[str],
    returned: Collection[str],
    topics: TopicsSettings,
    *,
    unreadable: bool = False,
) -> Iterator[Verdict]:
    """A verdict on each letter, one an id.

    Args:
        replayed: ids of letters that were sent again already.
        returned: places of messages that were themselves sent again: buried a second time, they came back.
        unreadable: send also what this version cannot read, which would only be buried again.
    """
    ours = {getattr(topics, name).name: name for name in KINDS}
    seen: set[str] = set()
    for kept in letters:
        if kept.id in seen:  # buried twice, as after a kill
            continue
        seen.add(kept.id)
        yield _verdict(kept, replayed, returned, ours, unreadable)


def _verdict(
    kept: Kept, replayed: Collection[str], returned: Collection[str], ours: dict[str, str], unreadable: bool
) -> Verdict:
    letter = kept.letter
    if kept.id in replayed:
        return Verdict(kept, "sent before")
    if kept.id in returned:
        return Verdict(kept, "came back", "it was sent again before, and was buried again")
    if letter.topic not in ours:
        return Verdict(kept, "cannot be sent", f"{letter.topic} is no topic of this configuration that workers read")
    if letter.value is None:
        return Verdict(kept, "cannot be sent", "it had no bytes")
    if CUT in letter.error:
        return Verdict(kept, "cannot be sent", "it was too large, and only its first bytes were kept")
    reason = unreadable_because(letter, ours[letter.topic])
    if reason and not unreadable:
        return Verdict(kept, "unreadable", reason)
    return Verdict(kept, "send", reason)


def unreadable_because(letter: DeadLetter, name: str) -> str:
    """Why this version would bury the message again; empty where it can read it."""
    try:
        message = decode(letter.value, KINDS[name])
    except MessageError as error:
        return str(error)
    if name != "assessment_tasks" and letter.key != message.camera_id.encode():
        return "its key is not the camera id"
    return ""
