"""A camera's frames, come what may: reconnects with growing waits, notices a stall, says how the camera is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import structlog

from vision_stream.messages import CameraState
from workers.capture.mailbox import Mailbox, SourceEnded
from workers.capture.pacing import backoff_s
from workers.capture.reader import Reader
from workers.capture.sources.base import Frame, FrameSource, NoFrames, SourceError
from workers.capture.stillness import Stillness

_log = structlog.get_logger(__name__)
END_S = 1.0  # a decoder needs some 10 ms for a frame; a process has 4.5 s in all
MAX_ABANDONED = 3  # threads of one camera left hanging in a driver. One more would only hang too


@dataclass(frozen=True)
class FeedPolicy:
    stall_s: float = 12.0  # without a frame; above ``Link.read_s``, as a reader that has not ended by then hangs
    first_frame_s: float = 30.0  # from its opening; above ``Link.open_s``, ``read_s`` and the 8 s to see why not
    frozen_s: float | None = None  # with the same picture; None: it may stand still
    first_retry_s: float = 0.5
    max_retry_s: float = 30.0


class Feed:
    """Frames of one source. ``changed(state, reason)`` is awaited at each change of the camera's state."""

    def __init__(
        self,
        source: FrameSource,
        *,
        changed: Callable[[CameraState, str], Awaitable[None]],
        captured: Callable[[], None] = lambda: None,
        skipped: Callable[[], None] = lambda: None,
        reconnecting: Callable[[], None] = lambda: None,
        policy: FeedPolicy | None = None,
        isolated: FrameSource | None = None,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """
        Args:
            captured, skipped: called for each frame that is read, or replaced by a newer one; see ``Mailbox``.
            reconnecting: called before each try to open the source anew.
            isolated: the same source in a process that can be killed; read instead once a read has hung.
        """
        self._source = source
        self._isolated = isolated
        self._changed = changed
        self._captured = captured
        self._skipped = skipped
        self._reconnecting = reconnecting
        self._policy = policy or FeedPolicy()
        self._chance = chance
        self._sleep = sleep
        self._abandoned: list[Reader] = []
        self._mailbox: Mailbox | None = None
        self._stillness = (
            Stillness()
        )  # outlives a reconnection: a camera that is still frozen is not online for a moment

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield frames until the source ends; for ever where it is live. Close it when you leave (``aclosing``).

        Raises:
            SourceError: a source that is not live broke off.
        """
        attempt = 0
        while True:
            self._mailbox = mailbox = Mailbox(
                keep_all=self._source.keep_all, captured=self._captured, skipped=self._skipped
            )
            reader = Reader(self._source, mailbox)
            reader.start()
            try:
                within_s = max(self._policy.first_frame_s, self._policy.stall_s)
                while True:
                    frame = await self._next(mailbox, within_s)
                    attempt, within_s = 0, self._policy.stall_s
                    await self._changed("online", "")
                    yield frame
            except SourceEnded:
                if not self._source.live:
                    return
                reason = "the source ended"
            except SourceError as error:
                if not self._source.live:
                    raise
                reason = error.what
                if isinstance(error, NoFrames):
                    await self._changed("stalled", reason)
            finally:
                reader.stop()
                self._abandoned.append(reader)
            await self._pause(attempt, reason)
            self._reconnecting()
            attempt += 1

    async def close(self) -> None:
        """Wait for the readers to end, but not for one that hangs. A thread that comes back from its decoder while the
        interpreter ends would abort the process."""
        for _ in range(100):
            if not any(reader.alive for reader in self._abandoned):
                return
            await asyncio.sleep(END_S / 100)

    def newer(self) -> Frame | None:
        """A frame that has come since the last one was yielded, and replaces it; None: that is the newest."""
        frame = self._mailbox.newer() if self._mailbox is not None else None
        if frame is not None and self._policy.frozen_s is not None:
            self._stillness.seconds(frame.image, frame.media_s)
        return frame

    async def _next(self, mailbox: Mailbox, within_s: float) -> Frame:
        try:
            async with asyncio.timeout(within_s):
                frame = await mailbox.take()
        except TimeoutError:
            raise NoFrames(f"{self._source.name}: no frames for {within_s:g} s") from None
        frozen_s = self._policy.frozen_s
        if frozen_s is not None and self._stillness.seconds(frame.image, frame.media_s) >= frozen_s:
            raise NoFrames(f"{self._source.name}: the same picture for {frozen_s:g} s")
        return frame

    async def _pause(self, attempt: int, reason: str) -> None:
        """Wait before the next try, and for as long as too many readers hang."""
        await self._changed("reconnecting", reason)
        while True:
            wait = backoff_s(
                attempt, self._chance(), first_s=self._policy.first_retry_s, max_s=self._policy.max_retry_s
            )
            await self._sleep(wait)
            self._abandoned = [reader for reader in self._abandoned if reader.alive]
            if self._abandoned and self._isolated is not None and self._source is not self._isolated:
                self._isolate(self._isolated)
                return
            if len(self._abandoned) < MAX_ABANDONED:
                return
            await self._changed("stalled", f"{len(self._abandoned)} reads hang in the driver")

    def _isolate(self, isolated: FrameSource) -> None:
        _log.warning("a read hangs in its driver; decoded in a process of its own now", source=self._source.name)
        self._source = isolated
