"""Cameras before one detector: who is looked at when, with whom, and what one that fails does to the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.films import ColourDetector, picture
from tests.waiting import eventually
from workers.capture import room
from workers.capture.detectors.batching import Batching
from workers.capture.inference import Inference, Look, Seat
from workers.capture.sources.base import Frame

POISON = 255  # a picture of it is one on which the detector fails


def a_frame(number: int) -> Frame:
    """One that says which it is: by its first pixel, and by its time."""
    image = picture(("car", 10, 20, 50, 46))
    image[0, 0] = number
    return Frame(image, captured_at=1000.0 + number, media_s=float(number))


class Gated(ColourDetector):
    """Looks at nothing until it is let, and remembers what it was given together."""

    def __init__(self, most: int = 8, wait_s: float = 0.0, largest: int = 99, at_once: int = 1) -> None:
        self.batching = Batching(most, wait_s, at_once)
        self.batches: list[list[int]] = []
        self._largest = largest
        self._lets = threading.Semaphore(0)

    def let(self, batches: int = 1) -> None:
        self._lets.release(batches)

    def detect(self, frame: np.ndarray):
        return self.detect_batch([frame])[0]

    def detect_batch(self, frames: Sequence[np.ndarray]):
        numbers = [int(frame[0, 0, 0]) for frame in frames]
        self.batches.append(numbers)
        assert self._lets.acquire(timeout=10)
        if len(frames) > self._largest:
            raise MemoryError("no room for so many")
        if POISON in numbers:
            raise ValueError("cannot read this picture")
        return [ColourDetector.detect(self, frame) for frame in frames]


@pytest.fixture
async def inference() -> AsyncIterator[Inference]:
    made = Inference()
    yield made
    made.close()


@pytest.fixture
def detector() -> Iterator[Gated]:
    gated = Gated()
    yield gated
    gated.let(100)  # a thread that is left waiting would hold up the end


def asked(seat: Seat, number: int) -> asyncio.Future[Look]:
    return asyncio.ensure_future(seat.look(a_frame(number)))


async def in_line(inference: Inference, cameras: int) -> None:
    await eventually(lambda: len(inference._waiting) == cameras)


async def together(
    inference: Inference, detector: Gated, frames: Sequence[tuple[Seat, int]]
) -> list[asyncio.Future[Look]]:
    """Let them stand in line while the device is busy with another camera's; one ``let`` is for that."""
    first = asked(inference.seat(detector), 0)
    await eventually(lambda: detector.batches == [[0]])
    looks = [asked(seat, number) for seat, number in frames]
    await in_line(inference, len(frames))
    detector.let()
    await first
    return looks


async def test_an_idle_device_begins_with_the_first_frame_and_then_takes_together_what_came(
    inference: Inference, detector: Gated
):
    seats = [inference.seat(detector) for _ in range(4)]
    looks = [asked(seats[0], 0)]
    await eventually(lambda: detector.batches == [[0]])
    looks += [asked(seat, number) for number, seat in enumerate(seats[1:], start=1)]
    await in_line(inference, 3)
    detector.let(2)
    seen = await asyncio.gather(*looks)
    assert detector.batches == [[0], [1, 2, 3]]
    assert [look.frame.media_s for look in seen] == [0, 1, 2, 3]
    assert all(len(look.objects) == 1 for look in seen)


async def test_a_batch_is_no_larger_than_the_device_gains_from(inference: Inference):
    detector = Gated(most=2)
    looks = [asked(inference.seat(detector), number) for number in range(6)]
    detector.let(10)
    await asyncio.gather(*looks)
    assert [len(batch) for batch in detector.batches] == [1, 2, 2, 1]


async def test_a_device_that_has_room_begins_with_the_next_while_it_is_at_one(inference: Inference):
    detector = Gated(at_once=2)
    looks = [asked(inference.seat(detector), number) for number in range(4)]
    await eventually(lambda: sorted(detector.batches) == [[0], [1]])
    await in_line(inference, 2)
    detector.let(3)
    seen = await asyncio.gather(*looks)
    assert sorted(detector.batches) == [[0], [1], [2, 3]]
    assert [look.frame.media_s for look in seen] == [0, 1, 2, 3]


async def test_a_frame_that_waits_gives_way_to_a_newer_one_of_its_camera(inference: Inference, detector: Gated):
    newest: list[Frame] = []
    busy, waits = inference.seat(detector), inference.seat(detector, lambda: newest.pop() if newest else None)
    first = asked(busy, 0)
    await eventually(lambda: detector.batches == [[0]])
    second = asked(waits, 1)
    await in_line(inference, 1)
    newest.append(a_frame(9))
    detector.let(2)
    assert (await first).frame.media_s == 0
    assert (await second).frame.media_s == 9
    assert detector.batches == [[0], [9]]


async def test_a_fast_camera_does_not_starve_a_slow_one(inference: Inference):
    detector, slow_ones = Gated(most=1), 3
    fast, slow = inference.seat(detector), [inference.seat(detector) for _ in range(slow_ones)]

    async def without_rest() -> None:
        while True:
            await fast.look(a_frame(0))

    running = asyncio.ensure_future(without_rest())
    await eventually(lambda: detector.batches == [[0]])
    looks = [asked(seat, number) for number, seat in enumerate(slow, start=1)]
    await in_line(inference, slow_ones)
    detector.let(20)
    await asyncio.gather(*looks)
    running.cancel()
    detector.let(100)
    places = [next(i for i, batch in enumerate(detector.batches) if number in batch) for number in (1, 2, 3)]
    assert max(places) <= slow_ones + 1  # at most one more turn of the fast one in between


async def test_a_picture_on_which_the_detector_fails_costs_the_others_of_its_batch_nothing(
    inference: Inference, detector: Gated
):
    bad, *good = (inference.seat(detector) for _ in range(4))
    looks = await together(inference, detector, [(bad, POISON), *((seat, n) for n, seat in enumerate(good, start=1))])
    detector.let(100)
    results = await asyncio.gather(*looks, return_exceptions=True)
    assert detector.batches[1] == [POISON, 1, 2, 3]
    assert isinstance(results[0], ValueError)
    assert [len(look.objects) for look in results[1:] if isinstance(look, Look)] == [1, 1, 1]


async def test_a_camera_that_fails_is_looked_at_alone_until_it_works_again(inference: Inference, detector: Gated):
    bad, *good = (inference.seat(detector) for _ in range(3))
    detector.let()
    with pytest.raises(ValueError, match="cannot read"):
        await bad.look(a_frame(POISON))
    for number, expected in ((POISON, {(POISON,), (1, 2)}), (7, {(7,), (1, 2)}), (8, {(1, 2, 8)})):
        detector.batches.clear()
        looks = await together(inference, detector, [(good[0], 1), (good[1], 2), (bad, number)])
        detector.let(len(expected))
        await asyncio.gather(*looks, return_exceptions=True)
        assert {tuple(sorted(batch)) for batch in detector.batches[1:]} == expected


async def test_a_batch_for_which_there_is_no_room_is_halved_from_then_on_and_nobody_misses_a_frame(
    inference: Inference,
):
    detector = Gated(most=8, largest=3)
    seats = [inference.seat(detector) for _ in range(9)]
    with capture_logs() as lines:
        for _ in range(2):
            looks = [asked(seat, number) for number, seat in enumerate(seats)]
            detector.let(100)
            assert [look.frame.media_s for look in await asyncio.gather(*looks)] == list(range(9))
    assert [line["most"] for line in lines if line["log_level"] == "warning"] == [4, 2]
    assert max(len(batch) for batch in detector.batches[-4:]) == 2


async def test_a_detector_that_answers_too_little_leaves_nobody_waiting(inference: Inference):
    class Forgetful(Gated):
        def detect_batch(self, frames: Sequence[np.ndarray]):
            found = super().detect_batch(frames)
            return found if len(frames) == 1 else found[1:]

    detector = Forgetful()
    looks = await together(inference, detector, [(inference.seat(detector), number) for number in (1, 2, 3)])
    detector.let(100)
    async with asyncio.timeout(10):
        seen = await asyncio.gather(*looks)
    assert [(look.frame.media_s, len(look.objects)) for look in seen] == [(1, 1), (2, 1), (3, 1)]


async def test_batches_grow_again_once_the_device_has_room_again(inference: Inference, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "GOOD", 4)
    detector = Gated(most=4, largest=3)
    seats = [inference.seat(detector) for _ in range(5)]
    detector.let(1000)

    async def largest_of_a_round() -> int:
        detector.batches.clear()
        await asyncio.gather(*(seat.look(a_frame(number)) for number, seat in enumerate(seats)))
        return max(len(batch) for batch in detector.batches)

    assert await largest_of_a_round() == 4
    assert await largest_of_a_round() == 2

    detector._largest = 99
    rounds = [await largest_of_a_round() for _ in range(4)]

    assert rounds[0] == 2
    assert rounds[-1] == 4


async def test_an_idle_device_waits_for_a_batch_to_fill_where_that_is_set(inference: Inference):
    detector = Gated(most=2, wait_s=3600.0)
    seats = [inference.seat(detector) for _ in range(3)]
    first = asked(seats[0], 0)
    await in_line(inference, 1)
    assert detector.batches == []
    second = asked(seats[1], 1)
    detector.let()
    await asyncio.gather(first, second)
    assert detector.batches == [[0, 1]]


async def test_a_lone_camera_is_not_kept_waiting_for_others_that_do_not_exist(inference: Inference):
    detector = Gated(most=8, wait_s=3600.0)
    detector.let()
    assert (await inference.seat(detector).look(a_frame(3))).frame.media_s == 3


async def test_a_short_wait_ends_by_itself(inference: Inference):
    detector = Gated(most=8, wait_s=0.01)
    seats = [inference.seat(detector) for _ in range(2)]
    detector.let()
    async with asyncio.timeout(5):
        await seats[0].look(a_frame(3))


@pytest.mark.parametrize("when", ["in line", "in the batch"])
async def test_a_camera_that_is_taken_away_holds_nobody_up(inference: Inference, detector: Gated, when: str):
    stays, goes = inference.seat(detector), inference.seat(detector)
    gone = asked(goes, 1)
    await eventually(lambda: detector.batches == [[1]])
    if when == "in line":
        detector.let()
        await gone
        first, gone = asked(stays, 0), asked(goes, 1)
        await in_line(inference, 1)
        gone.cancel()
        await eventually(lambda: goes not in inference._waiting)
        detector.let()
        await first
    else:
        gone.cancel()
    detector.let(2)
    assert (await stays.look(a_frame(2))).frame.media_s == 2
    assert gone.cancelled()


async def test_who_waits_at_the_end_is_let_go():
    inference, detector = Inference(), Gated()
    looks = [asked(inference.seat(detector), number) for number in range(2)]
    await in_line(inference, 1)
    inference.close()
    detector.let()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*looks, return_exceptions=True)
    assert isinstance(results[0], Look)
    assert isinstance(results[1], asyncio.CancelledError)


async def test_what_follows_on_a_detection_does_not_wait_for_the_device(inference: Inference, detector: Gated):
    look = asked(inference.seat(detector), 0)
    await eventually(lambda: detector.batches == [[0]])

    def thread() -> str:
        return threading.current_thread().name

    async with asyncio.timeout(5):
        assert (await inference.afterwards(thread)).startswith("afterwards")
    detector.let()
    await look
    assert (await inference.run(thread)).startswith("inference")
