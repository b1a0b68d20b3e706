"""What a camera's state is and since when, told at each change and again from time to time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from vision_stream.messages import CameraState, CameraStatus
from vision_stream.redaction import mask
from workers.capture.sink import Sink

_log = structlog.get_logger(__name__)
REPEAT_S = 15.0  # so that whoever starts listening later learns it, and a killed worker's silence is noticed


async def tell_refused(
    camera_id: str, sink: Sink, why: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Tell of a camera that has no worker, which would, again and again until cancelled."""
    teller = StatusTeller(camera_id, sink)
    await teller.change("disabled", f"cannot be watched as configured: {why}")
    while True:
        await sleep(REPEAT_S)
        await teller.repeat()


class StatusTeller:
    def __init__(self, camera_id: str, sink: Sink, *, clock: Callable[[], float] = time.time) -> None:
        self._camera_id = camera_id
        self._sink = sink
        self._clock = clock
        self._last: CameraStatus | None = None
        self._told: tuple[CameraState, str] | None = None  # as ``change`` got it: it is asked with each frame

    async def change(self, state: CameraState, reason: str) -> None:
        """Tell of it if it is news: another state, or another reason for the same one, which is since when it was."""
        if self._told == (state, reason):
            return
        self._told = (state, reason)
        now = self._clock()
        since = self._last.since if self._last is not None and self._last.state == state else now
        self._last = CameraStatus(
            camera_id=self._camera_id, state=state, reason=mask(reason)[:500], since=since, at=now
        )
        _log.info("camera is " + state, camera=self._camera_id, reason=self._last.reason or None)
        await self._sink.status(self._last)

    async def repeat(self) -> None:
        """Tell the state again, with the time of now."""
        if self._last is not None:
            self._last = CameraStatus(
                camera_id=self._camera_id,
                state=self._last.state,
                reason=self._last.reason,
                since=self._last.since,
                at=self._clock(),
            )
            await self._sink.status(self._last)
