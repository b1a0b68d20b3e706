"""A detector that hangs is told from one that works, however slowly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.films import ColourDetector
from tests.waiting import eventually
from workers.capture.detectors.objects import Objects
from workers.capture.hung import FIRST, LOOKS, Watched, until_hung
from workers.capture.sources.base import Picture

BLACK = np.zeros((4, 4, 3), np.uint8)


class Stuck(ColourDetector):
    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def detect(self, frame: Picture) -> Objects:
        self.released.wait(30)
        return super().detect(frame)

    def detect_batch(self, frames: Sequence[Picture]) -> list[Objects]:
        self.released.wait(30)
        return super().detect_batch(frames)


class Steps:
    """A sleep that ends when told to, and how often it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.due = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.due.acquire()

    async def pass_(self, count: int) -> None:
        wanted = len(self.asked) + count
        for _ in range(count):
            self.due.release()
        await eventually(lambda: len(self.asked) >= wanted)


def warm(stuck: Stuck) -> Watched:
    """Has looked once."""
    detector = Watched(stuck)
    stuck.released.set()
    detector.detect(BLACK)
    stuck.released.clear()
    return detector


@asynccontextmanager
async def a_look_that_hangs(
    stuck: Stuck, detector: Watched, steps: Steps, call: Callable[[Watched], object]
) -> AsyncIterator[asyncio.Future[None]]:
    """From when it began; what is yielded ends when that is told."""
    hung = asyncio.ensure_future(until_hung(detector, after_s=30.0, sleep=steps.sleep))
    await eventually(lambda: bool(steps.asked))
    looking = asyncio.ensure_future(asyncio.to_thread(call, detector))
    await eventually(lambda: len(detector.running) == 1)
    try:
        yield hung
    finally:
        stuck.released.set()
        await looking


async def told_after(steps: Steps, looks: int, hung: asyncio.Future[None]) -> None:
    """Not before, and with the last of them."""
    await steps.pass_(looks - 1)
    assert not hung.done()
    steps.due.release()
    async with asyncio.timeout(5):
        await hung


async def test_the_first_look_may_take_longer_as_it_loads_what_the_others_need():
    stuck = Stuck()
    detector, steps = Watched(stuck), Steps()
    with capture_logs() as lines:
        async with a_look_that_hangs(stuck, detector, steps, lambda d: d.detect(BLACK)) as hung:
            await told_after(steps, FIRST * LOOKS, hung)
    assert lines[0]["for_s"] == pytest.approx(FIRST * 30.0)


@pytest.mark.parametrize(
    "call", [lambda d: d.detect(BLACK), lambda d: d.detect_batch([BLACK, BLACK])], ids=["one", "batch"]
)
async def test_a_look_that_does_not_end_is_told_after_the_whole_time_with_where_it_stands(call):
    stuck = Stuck()
    detector, steps = warm(stuck), Steps()
    with capture_logs() as lines:
        async with a_look_that_hangs(stuck, detector, steps, call) as hung:
            await told_after(steps, LOOKS, hung)
    assert sum(steps.asked) == pytest.approx(30.0)
    assert lines[0]["event"] == "the detector hangs: the process ends"
    assert lines[0]["for_s"] == pytest.approx(30.0)
    assert any("self.released.wait" in line.get("stack", "") for line in lines)
    assert detector.running == frozenset()


async def test_looks_that_end_are_no_hang_however_many_follow_each_other():
    stuck = Stuck()
    detector, steps = warm(stuck), Steps()
    hung = asyncio.ensure_future(until_hung(detector, after_s=30.0, sleep=steps.sleep))
    await eventually(lambda: bool(steps.asked))
    for _ in range(3 * LOOKS):
        stuck.released = threading.Event()
        looking = asyncio.ensure_future(asyncio.to_thread(detector.detect, BLACK))
        await eventually(lambda: len(detector.running) == 1)
        await steps.pass_(1)
        stuck.released.set()
        await looking
    assert not hung.done()
    hung.cancel()


async def test_a_detector_that_fails_is_not_taken_for_one_that_hangs():
    class Failing(ColourDetector):
        def detect(self, frame: Picture) -> Objects:
            raise ValueError("no")

    detector = Watched(Failing())
    with pytest.raises(ValueError, match="no"):
        detector.detect(BLACK)
    assert detector.running == frozenset()
