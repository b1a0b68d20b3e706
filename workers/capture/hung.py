"""A detector that hangs: its thread cannot be killed, and its cameras are blind while the process seems to live. So the
process ends, for its supervisor to start it again; the other workers of its group are given its cameras at once."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from vision_stream.errors import STUCK
from vision_stream.stacks import thread_stacks
from workers.capture.detectors import Detector
from workers.capture.detectors.objects import Objects
from workers.capture.sources.base import Picture

# In the time that ends a process; each counts for its share of it alone, so that a frozen process counts none.
LOOKS = 15
FIRST = 10  # x that time for the first look: torch loads a good part of itself then, and a GPU builds its kernels

_log = structlog.get_logger(__name__)


class Watched:
    """A detector, and which of its calls have not returned yet."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._numbers = itertools.count()
        self._running: set[int] = set()
        self.warm = False  # one look has come back
        self.name = detector.name
        self.labels = detector.labels
        self.batching = detector.batching

    @property
    def running(self) -> frozenset[int]:
        """A number for each call."""
        return frozenset(self._running.copy())  # other threads change it

    def detect(self, frame: Picture) -> Objects:
        with self._counted():
            return self._detector.detect(frame)

    def detect_batch(self, frames: Sequence[Picture]) -> list[Objects]:
        with self._counted():
            return self._detector.detect_batch(frames)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        number = next(self._numbers)
        self._running.add(number)
        try:
            yield
            self.warm = True
        finally:
            self._running.discard(number)


async def until_hung(
    detector: Watched, *, after_s: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Return when a call of the detector has not returned for ``after_s`` seconds, the first one for ``FIRST`` times as
    long; logs where all threads stand."""
    looks: Counter[int] = Counter()
    while max(looks.values(), default=0) < (limit := LOOKS if detector.warm else FIRST * LOOKS):
        await sleep(after_s / LOOKS)
        looks = Counter({call: looks[call] + 1 for call in detector.running})
    _log.critical(
        "the detector hangs: the process ends",
        model=detector.name,
        for_s=after_s * limit / LOOKS,
        exit_code=STUCK,
        error_id="VS-603",
    )
    for thread, stack in thread_stacks():
        _log.critical("stack", thread=thread, stack=stack)
