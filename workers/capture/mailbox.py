"""The one slot between the thread that reads frames and the loop that has them looked at: the newest frame wins."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from workers.capture.sources.base import Frame, SourceError

CHECK_S = 0.2  # how often a reader that waits for room looks whether it should stop


class SourceEnded(Exception):
    """There are no more frames, as there should be none."""


class Mailbox:
    """Filled by one thread, emptied by one coroutine of the loop that it was made in."""

    def __init__(
        self,
        *,
        keep_all: bool = False,
        captured: Callable[[], None] = lambda: None,
        skipped: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            keep_all: ``put`` waits until the slot is free, instead of replacing what lies there.
            captured, skipped: called for each frame that is left, or replaced; by the thread that does it.
        """
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._changed = threading.Condition()
        self._slot: Frame | None = None
        self._end: SourceError | SourceEnded | None = None
        self._keep_all = keep_all
        self._captured = captured
        self._skipped = skipped

    def put(self, frame: Frame, stop: threading.Event) -> None:
        """Of the reader's thread: leave a frame."""
        self._captured()
        with self._changed:
            while self._keep_all and self._slot is not None and not stop.is_set():
                self._changed.wait(CHECK_S)
            if self._slot is not None:
                self._skipped()
            self._slot = frame
        self._wake()

    def end(self, how: SourceError | SourceEnded) -> None:
        """Of the reader's thread: no frame will follow."""
        with self._changed:
            self._end = how
        self._wake()

    async def take(self) -> Frame:
        """The newest frame, as soon as there is one.

        Raises:
            SourceEnded: all have been taken and no more will come.
            SourceError: the source broke off.
        """
        while True:
            with self._changed:
                frame, self._slot = self._slot, None
                self._changed.notify()
            if frame is not None:
                return frame
            if self._end is not None:
                raise self._end
            await self._ready.wait()
            self._ready.clear()

    def newer(self) -> Frame | None:
        """What has come since the last one was taken, which it replaces; None where all are kept, or nothing came."""
        with self._changed:
            if self._keep_all or self._slot is None:
                return None
            frame, self._slot = self._slot, None
        self._skipped()
        return frame

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._ready.set)
