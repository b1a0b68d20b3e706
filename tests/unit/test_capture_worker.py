import asyncio
import itertools
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.films import ColourDetector, two_cars_driving, write_film
from tests.waiting import eventually
from vision_stream import metrics
from vision_stream.errors import ConfigError
from vision_stream.messages import CameraStatus, Detection, StoredEvidence, decode, encode
from vision_stream.settings import CameraSettings, ClusteringSettings, Settings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from workers.capture.detectors import Detector
from workers.capture.detectors.batching import Batching
from workers.capture.eyes import Eyes
from workers.capture.inference import Inference
from workers.capture.sources.base import Frame
from workers.capture.worker import CaptureWorker


class Listener:
    """A sink that remembers, and looks whether the evidence was there when the event came."""

    def __init__(self, evidence: MemoryEvidence) -> None:
        self.detections: list[Detection] = []
        self.statuses: list[CameraStatus] = []
        self.missing: list[str] = []
        self._evidence = evidence

    async def detection(self, detection: Detection, /) -> None:
        self.detections.append(detection)
        for group in detection.groups:
            if isinstance(group.evidence, StoredEvidence) and await self._evidence.get(group.evidence.key) is None:
                self.missing.append(group.evidence.key)

    async def status(self, status: CameraStatus, /) -> None:
        self.statuses.append(status)


class Stage:
    """A worker on a film, and all that it needs."""

    def __init__(self, source: str, *, detector: Detector | None = None, fps: float = 10, loop: bool = False) -> None:
        self.evidence, self.frames = MemoryEvidence(), MemoryFrames()
        self.heard = Listener(self.evidence)
        self.inference = Inference()
        self.worker = CaptureWorker(
            CameraSettings.model_validate({"id": "cam-01", "source": source, "fps": fps}),
            Settings(),
            detector=detector or ColourDetector(),
            inference=self.inference,
            sink=self.heard,
            evidence=self.evidence,
            frames=self.frames,
            loop=loop,
            realtime=loop,
        )


@pytest.fixture
def film(tmp_path: Path) -> str:
    return str(write_film(tmp_path / "film.avi", two_cars_driving(20), fps=10))


async def test_each_frame_of_a_film_becomes_a_detection_with_its_own_id(film: str):
    stage = Stage(film)
    await stage.worker.run()
    session = stage.worker.session
    assert [each.detection_id for each in stage.heard.detections] == [f"cam-01:{session}:{n}" for n in range(1, 21)]
    assert [each.sequence for each in stage.heard.detections] == list(range(1, 21))


async def test_a_detection_says_what_is_there_and_survives_the_wire(film: str):
    stage = Stage(film)
    await stage.worker.run()
    last = stage.heard.detections[-1]
    assert sorted(found.label for found in last.objects) == ["car", "car", "person"]
    assert (last.frame_width, last.frame_height, last.model) == (320, 240, "colours")
    assert last.times.captured_at <= last.times.detected_at
    assert all(found.track_id is not None for found in last.objects)
    assert decode(encode(last), Detection) == last


async def test_what_stands_together_is_a_group_with_its_picture_in_the_store(film: str):
    stage = Stage(film)
    await stage.worker.run()
    (group,) = stage.heard.detections[0].groups
    assert group.label_counts == {"car": 2}
    assert isinstance(group.evidence, StoredEvidence)
    assert stage.heard.missing == []  # each picture lay there before the event that names it


async def test_the_newest_frame_lies_in_the_frame_store(film: str):
    stage = Stage(film)
    await stage.worker.run()
    jpeg = await stage.frames.latest("cam-01")
    assert jpeg is not None
    assert jpeg.startswith(b"\xff\xd8")


async def test_deliveries_are_counted(film: str):
    counter = metrics.detections.labels("cam-01")
    before = counter._value.get()
    await Stage(film).worker.run()
    assert counter._value.get() - before == 20


async def test_a_camera_tells_that_it_is_there_and_that_it_ended(film: str):
    stage = Stage(film)
    await stage.worker.run()
    assert [status.state for status in stage.heard.statuses] == ["online", "disabled"]


async def test_two_runs_of_a_camera_have_two_sessions(film: str):
    first = Stage(film).worker.session
    await eventually(lambda: Stage(film).worker.session > first, what="named after the millisecond of its start")


async def test_a_cancelled_worker_ends_at_once_and_says_that_the_camera_is_off():
    stage = Stage("sim:quiet?width=320&height=240")
    work = asyncio.ensure_future(stage.worker.run())
    await eventually(lambda: stage.heard.detections)
    work.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await work
    assert stage.heard.statuses[-1].state == "disabled"


async def test_a_worker_that_has_ended_leaves_no_thread_in_a_decoder(film: str):
    stage = Stage(film, loop=True)
    work = asyncio.ensure_future(stage.worker.run())
    await eventually(lambda: stage.heard.detections)
    assert readers_of(film) != []
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert readers_of(film) == []


def readers_of(source: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"read {source}"]


def numbers_of_pictures(captured_at: Iterable[float]) -> list[int]:
    """Of 20 frames a second, those of which the dashboard gets a picture; ``captured_at``: by the system's clock."""
    ticks = (n / 20 for n in itertools.count())
    eyes = Eyes(ClusteringSettings(), fps=20, inline=False, clock=lambda: next(ticks))
    frames = [
        Frame(picture, captured_at=at, media_s=n / 20)
        for n, (picture, at) in enumerate(zip(two_cars_driving(20), captured_at, strict=True))
    ]
    return [n for n, frame in enumerate(frames) if eyes.observe(frame, ()).frame_jpeg is not None]


def test_the_newest_picture_of_a_fast_camera_is_made_five_times_a_second():
    assert numbers_of_pictures(1000 + n / 20 for n in range(20)) == [0, 4, 8, 12, 16]


def test_a_clock_that_is_set_back_an_hour_holds_up_no_picture():
    assert numbers_of_pictures(7200 + n / 20 - 3600 * (n > 2) for n in range(20)) == [0, 4, 8, 12, 16]


async def test_a_slow_detector_sees_the_newest_frames_and_the_others_are_counted(film: str):
    started, go_on = asyncio.Event(), asyncio.Event()

    class Slow(ColourDetector):
        def detect(self, frame: np.ndarray):
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
            return super().detect(frame)

    loop = asyncio.get_running_loop()
    skipped = metrics.frames_skipped.labels("cam-01", "newer frame")
    before = skipped._value.get()
    stage = Stage(film, detector=Slow(), fps=10, loop=True)
    work = asyncio.ensure_future(stage.worker.run())
    await started.wait()
    await eventually(lambda: skipped._value.get() - before >= 3)
    go_on.set()
    await eventually(lambda: len(stage.heard.detections) >= 2)
    first, second = (each.times.captured_at for each in stage.heard.detections[:2])
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert second - first >= 0.3  # what came in between was passed over


async def test_two_frames_of_a_fast_camera_are_looked_at_at_once_and_told_in_their_order(film: str):
    class SecondsFirst(ColourDetector):
        """Is done with each first of two after the second."""

        batching = Batching(at_once=2)

        def __init__(self) -> None:
            self.calls = itertools.count()
            self.second_is_seen = threading.Semaphore(0)

        def detect(self, frame: np.ndarray):
            if next(self.calls) % 2:
                found = super().detect(frame)
                self.second_is_seen.release()
                return found
            assert self.second_is_seen.acquire(timeout=10)
            return super().detect(frame)

    stage = Stage(film, detector=SecondsFirst())
    await stage.worker.run()
    places = [min(found.box.x1 for found in each.objects) for each in stage.heard.detections]
    assert len(places) == 20
    assert places == sorted(places)  # they drive to the right


async def test_a_frame_on_which_the_detector_fails_is_left_out_and_the_next_is_looked_at(film: str):
    class FailsOnce(ColourDetector):
        failed = False

        def detect(self, frame: np.ndarray):
            if not self.failed:
                self.failed = True
                raise RuntimeError("out of memory")
            return super().detect(frame)

    stage = Stage(film, detector=FailsOnce())
    await stage.worker.run()
    assert len(stage.heard.detections) == 19


async def test_a_frame_of_which_nothing_can_be_told_is_left_out_and_counted_and_the_next_is_told(film: str):
    class ConfusedTwice(ColourDetector):
        frames = 0

        def detect(self, frame: np.ndarray) -> Any:
            self.frames += 1
            return (None,) if self.frames in {3, 4} else super().detect(frame)  # of which no tracker makes anything

    skipped = metrics.frames_skipped.labels("cam-01", "description failed")
    before = skipped._value.get()
    stage = Stage(film, detector=ConfusedTwice())

    with capture_logs() as logs:
        await stage.worker.run()

    assert len(stage.heard.detections) == 18
    assert skipped._value.get() - before == 2
    assert [line["event"] for line in logs if line["event"].startswith("description")] == [
        "description failed, frame left out",
        "description works again",
    ]


async def test_a_live_camera_outlives_an_error_of_its_worker_and_says_so():
    stage = Stage("sim:quiet?width=320&height=240")
    tell, told = stage.heard.status, []

    async def fails_twice(status: CameraStatus, /) -> None:
        told.append(status.state)
        if len(told) <= 2:
            raise RuntimeError("rtsp://viewer:hunter22@10.0.0.5/1 is none")
        await tell(status)

    stage.heard.status = fails_twice  # type: ignore[method-assign]
    with capture_logs() as logs:
        work = asyncio.ensure_future(stage.worker.run())
        await eventually(lambda: stage.heard.detections, within_s=20)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    assert told == ["online", "reconnecting", "online", "disabled"]
    (said,) = [line for line in logs if line["log_level"] == "error"]
    assert "hunter22" not in said["error"]


async def test_a_film_that_meets_an_error_is_not_played_again(film: str):
    stage = Stage(film)

    async def fails(status: CameraStatus, /) -> None:
        if status.state == "online":
            raise RuntimeError("no")

    stage.heard.status = fails  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="no"):
            await stage.worker.run()


async def test_cameras_share_a_detector_and_its_thread(tmp_path: Path):
    films = [str(write_film(tmp_path / f"{n}.avi", two_cars_driving(10))) for n in range(3)]
    stages = [Stage(film) for film in films]
    for stage in stages[1:]:
        stage.worker._inference = stages[0].inference
    await asyncio.gather(*(stage.worker.run() for stage in stages))
    assert [len(stage.heard.detections) for stage in stages] == [10, 10, 10]


def test_a_camera_without_a_source_is_a_configuration_error():
    with pytest.raises(ConfigError, match="no file"):
        Stage("no/such/film.avi")
