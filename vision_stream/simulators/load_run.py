"""Sends a simulated load at its pace, every delivery confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from vision_stream.messages import InlineEvidence, encode
from vision_stream.simulators.load import Load, a_detection, schedule

UNCONFIRMED = 5000  # sent and not yet confirmed. Larger: more memory while a broker hangs. Smaller: the pace breaks.


class Producer(Protocol):
    async def send(self, topic: str, value: bytes, key: bytes) -> asyncio.Future: ...


async def publish(load: Load, producer: Producer, topic: str, pictures: Sequence[bytes] = ()) -> dict[str, float]:
    """Send the whole load; returns what was sent and confirmed, and how far behind its pace it fell (seconds).

    Raises:
        KafkaError: a delivery failed for good.
    """
    evidence = [InlineEvidence(jpeg=jpeg) for jpeg in pictures] or [None]
    room = asyncio.Semaphore(UNCONFIRMED)
    pending: set[asyncio.Future] = set()
    began = time.monotonic()
    behind = 0.0
    sent = 0
    for due, camera, sequence in schedule(load):
        early = began + due - time.monotonic()
        behind = max(behind, -early)
        if early > 0:
            await asyncio.sleep(early)
        detection = a_detection(load, camera, sequence, now=time.time(), picture=evidence[sent % len(evidence)])
        await room.acquire()
        future = await producer.send(topic, value=encode(detection), key=detection.camera_id.encode())
        pending.add(future)
        future.add_done_callback(lambda _: room.release())
        sent += 1
        if len(pending) >= UNCONFIRMED:
            pending = {future for future in pending if not _confirmed(future)}
    await asyncio.gather(*pending)
    seconds = time.monotonic() - began
    return {
        "detections": sent,
        "groups": sent * load.groups,
        "seconds": round(seconds, 3),
        "per_second": round(sent / seconds, 1),
        "behind_s": round(behind, 3),
    }


def _confirmed(future: asyncio.Future) -> bool:
    """Whether it was delivered; raises what a delivery failed of."""
    if not future.done():
        return False
    future.result()
    return True
