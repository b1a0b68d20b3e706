"""The dead-letter topic: what cannot be read or handled, with its bytes. Nothing else stops for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from vision_stream import metrics
from vision_stream.delivery.record import Record
from vision_stream.delivery.trouble import backoff, is_transient
from vision_stream.messages import DeadLetter, encode

if TYPE_CHECKING:
    from vision_stream.delivery.produce import Outbox

_log = structlog.get_logger(__name__)
ERROR_LENGTH = 2000  # what `DeadLetter.error` holds
BYTES_KEPT = 200_000  # of a message that is too large to be buried whole


async def bury(outbox: Outbox, record: Record, error: BaseException) -> None:
    """Deliver ``record`` to the dead letters; returns when it is there, however long the broker is away."""
    letter = _letter(record, error, record.value)
    for wait_s in backoff():
        try:
            await outbox.deliver_bytes(record.key, [encode(letter)])
            break
        except Exception as trouble:
            if not is_transient(trouble):  # too large, most likely: its head is better than nothing
                letter = _letter(record, error, (record.value or b"")[:BYTES_KEPT])
            _log.warning("dead letter not delivered yet", record=record.place, error=repr(trouble), again_in_s=wait_s)
            await asyncio.sleep(wait_s)
    metrics.dead_letters.labels(topic=record.topic).inc()
    _log.warning("message buried", record=record.place, error=letter.error[:300], error_id="VS-602")


def _letter(record: Record, error: BaseException, value: bytes | None) -> DeadLetter:
    cut = "" if value == record.value else f" [of {len(record.value or b'')} bytes, the first {BYTES_KEPT}]"
    text = f"{type(error).__name__}: {error}"
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=value,
        error=text[: ERROR_LENGTH - len(cut)] + cut,
        at=time.time(),
    )
