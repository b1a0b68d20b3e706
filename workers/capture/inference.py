"""Where frames are looked at: never on the event loop, and in no more batches at once than the device gains from.

Each camera has a ``Seat``. While the device is busy, cameras wait with one frame each, for which a newer one may still
come; once it is free, ``turns`` says whose are next. What follows on a detection has threads of its own, so that the
device goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar

import structlog

from vision_stream import metrics
from vision_stream.cores import usable_cores
from vision_stream.redaction import mask
from workers.capture.detectors import Detector
from workers.capture.detectors.objects import Objects
from workers.capture.room import Room
from workers.capture.sources.base import Frame, Picture
from workers.capture.turns import Turn, in_turn, pause_s

_log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

AFTERWARDS = 4  # threads at most; a frame needs them for a quarter of the time that a small model takes on a CPU


@dataclass(frozen=True)
class Look:
    """What was found in which frame."""

    frame: Frame
    objects: Objects
    inference_s: float  # its share of its batch


class Seat(Turn):
    """One camera's place before the detector."""

    def __init__(self, inference: Inference, detector: Detector, newer: Callable[[], Frame | None]) -> None:
        super().__init__(model=detector)
        self.detector = detector
        self.newer = newer
        self._inference = inference

    async def look(self, frame: Frame, begins: Callable[[], None] = lambda: None) -> Look:
        """Have ``frame`` looked at, or a newer one that has come before its turn.

        Args:
            begins: called when it is its turn; no other call before that.

        Raises:
            Exception: what the detector raised on that frame.
        """
        return await self._inference.look(self, frame, begins)


@dataclass(frozen=True)
class _Request:
    seat: Seat
    frame: Frame
    answer: asyncio.Future[Look]
    begins: Callable[[], None]


class Inference:
    """A device's, which cameras share. Its threads are not the loop's default ones: those also look up host names,
    which would then wait behind pictures."""

    def __init__(self) -> None:
        cores = usable_cores()
        self._device = ThreadPoolExecutor(2 * cores, thread_name_prefix="inference")  # made as they are needed
        self._others = ThreadPoolExecutor(min(AFTERWARDS, cores), thread_name_prefix="afterwards")
        self._seats: weakref.WeakSet[Seat] = weakref.WeakSet()
        self._waiting: dict[Seat, _Request] = {}
        self._running = 0  # batches
        self._batches = 0
        self._rooms: dict[Detector, Room] = {}
        self._pause: asyncio.TimerHandle | None = None

    def seat(self, detector: Detector, newer: Callable[[], Frame | None] = lambda: None) -> Seat:
        """A place for one camera. ``newer`` is asked for the frame that should be looked at instead, just before."""
        seat = Seat(self, detector, newer)
        self._seats.add(seat)
        return seat

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` in one of the device's threads, as a model is loaded."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._device, lambda: work(*args, **kwargs))

    async def afterwards(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work``, which follows on a detection, beside the device."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._others, lambda: work(*args, **kwargs))

    async def look(self, seat: Seat, frame: Frame, begins: Callable[[], None]) -> Look:
        """See ``Seat``."""
        answer: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        seat.since = time.monotonic()
        self._waiting[seat] = _Request(seat, frame, answer, begins)
        self._begin()
        try:
            return await answer
        finally:
            if seat in self._waiting and self._waiting[seat].answer is answer:
                del self._waiting[seat]

    def close(self) -> None:
        """Take no more; what runs now ends by itself, and who waits is let go."""
        if self._pause is not None:
            self._pause.cancel()
        for request in self._waiting.values():
            request.answer.cancel()
        self._waiting.clear()
        for pool in (self._device, self._others):
            pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Start the next batches, where the device has room and need not wait for them to fill."""
        while self._waiting:
            turns = in_turn(list(self._waiting))
            detector = turns[0].detector
            if self._running >= detector.batching.at_once:
                return
            cameras = sum(seat.model is detector for seat in self._seats)
            pause = pause_s(turns, detector.batching, cameras, time.monotonic())
            if pause > 0:
                if self._pause is None:
                    self._pause = asyncio.get_running_loop().call_later(pause, self._paused)
                return
            self._start(detector, turns)

    def _start(self, detector: Detector, turns: Sequence[Seat]) -> None:
        self._running += 1
        batch = [self._taken(seat) for seat in turns[: self._room(detector).most]]
        work = asyncio.get_running_loop().run_in_executor(
            self._device, _look_at, detector, [request.frame.image for request in batch]
        )
        work.add_done_callback(partial(self._ended, detector, batch))

    def _paused(self) -> None:
        self._pause = None
        self._begin()

    def _taken(self, seat: Seat) -> _Request:
        """A request from the line, with the newest frame that its camera has."""
        self._batches += 1
        request = self._waiting.pop(seat)
        seat.served = self._batches
        request.begins()
        newer = seat.newer()
        return request if newer is None else replace(request, frame=newer)

    def _ended(self, detector: Detector, batch: Sequence[_Request], work: asyncio.Future[_Answers]) -> None:
        self._running -= 1
        if work.cancelled():  # closed before its turn
            for request in batch:
                request.answer.cancel()
            return
        answers = work.result()
        self._learn(detector, len(batch), too_large=answers.too_large)
        self._begin()  # first: the device shall not wait while the answers are taken
        for request, found in zip(batch, answers.found, strict=True):
            request.seat.alone = isinstance(found, Exception)
            if request.answer.done():  # nobody waits for it any more
                continue
            if isinstance(found, Exception):
                request.answer.set_exception(found)
            else:
                metrics.inference_seconds.observe(answers.seconds_each)
                request.answer.set_result(Look(request.frame, found, answers.seconds_each))

    def _room(self, detector: Detector) -> Room:
        return self._rooms.setdefault(detector, Room(detector.batching.most))

    def _learn(self, detector: Detector, pictures: int, *, too_large: bool) -> None:
        room = self._room(detector)
        before = room.most
        if too_large:
            room.failed(pictures)
            _log.warning("batch too large for the model or its device", model=detector.name, most=room.most)
            return
        room.went_well(pictures)
        if room.most > before:
            _log.info("larger batches are tried again", model=detector.name, most=room.most)


@dataclass(frozen=True)
class _Answers:
    """Of one batch, in its order."""

    found: Sequence[Objects | Exception]
    seconds_each: float
    too_large: bool = False  # it failed, and none of its pictures did by itself


def _look_at(detector: Detector, pictures: Sequence[Picture]) -> _Answers:
    """Of a thread of the device: all at once, and one by one where that fails: one picture must not cost the others."""
    started = time.perf_counter()
    found: Sequence[Objects | Exception]
    if len(pictures) == 1:
        found, too_large = [_alone(detector, pictures[0])], False
    else:
        try:
            found, too_large = _as_many(detector.detect_batch(pictures), len(pictures)), False
        except Exception as error:  # a backend's own errors have no common base
            _log.debug("batch failed, looked at one by one", pictures=len(pictures), error=mask(str(error)))
            found = [_alone(detector, picture) for picture in pictures]
            too_large = not any(isinstance(each, Exception) for each in found)
    return _Answers(found, (time.perf_counter() - started) / len(pictures), too_large)


def _as_many(found: Sequence[Objects], pictures: int) -> Sequence[Objects]:
    if len(found) != pictures:  # or somebody would wait for ever, and others be told of what another camera sees
        raise ValueError(f"the detector answered {len(found)} of {pictures} pictures")
    return found


def _alone(detector: Detector, picture: Picture) -> Objects | Exception:
    try:
        return detector.detect(picture)
    except Exception as error:  # as above
        return error
