"""The gauges that alerts stand on: they tell the truth at the edges."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from tests.builders import a_detection
from tests.films import ColourDetector, two_cars_driving, write_film
from tests.waiting import eventually
from vision_stream import metrics
from vision_stream.background import Background
from vision_stream.messages import CameraStatus, Detection
from vision_stream.redis_server import RedisServer
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from vision_stream.stores.redis_link import RedisLink
from workers.capture.inference import Inference
from workers.capture.sources.base import SourceError
from workers.capture.worker import CaptureWorker
from workers.gateway.hub import Hub


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


class Watching:
    """A sink that notes the gauge while frames come."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self.seen: list[float | None] = []

    async def detection(self, detection: Detection, /) -> None:
        self.seen.append(last_frame(self._camera))

    async def status(self, status: CameraStatus, /) -> None:
        pass


def last_frame(camera: str) -> float | None:
    return value("vision_stream_camera_last_frame_timestamp_seconds", camera=camera)


def a_worker(camera: str, source: str, sink: Watching) -> CaptureWorker:
    return CaptureWorker(
        CameraSettings.model_validate({"id": camera, "source": source, "fps": 10}),
        Settings(),
        detector=ColourDetector(),
        inference=Inference(),
        sink=sink,
        evidence=MemoryEvidence(),
        frames=MemoryFrames(),
        loop=False,
        realtime=False,
    )


async def test_a_camera_that_ended_in_order_is_not_missed(tmp_path: Path):
    before, sink = time.time(), Watching("film-01")
    film = write_film(tmp_path / "film.avi", two_cars_driving(5), fps=10)

    await a_worker("film-01", str(film), sink).run()

    assert len(sink.seen) == 5
    assert all(at is not None and at >= before for at in sink.seen)
    assert last_frame("film-01") is None


async def test_a_camera_that_broke_off_stays_and_grows_old(tmp_path: Path):
    broken = tmp_path / "film.avi"
    broken.write_bytes(b"no film")

    with pytest.raises(SourceError):
        await a_worker("film-02", str(broken), Watching("film-02")).run()

    assert last_frame("film-02") == pytest.approx(time.time(), abs=30)
    metrics.last_frame.remove("film-02")


async def test_redis_is_up_down_and_up_again_as_commands_find_it(private_redis: RedisServer):
    link = RedisLink(SecretStr(private_redis.url), rest_s=0.01, timeout_s=0.5)
    assert value("vision_stream_redis_up", where=link.where) == 1

    private_redis.kill()
    await link.ping()
    assert value("vision_stream_redis_up", where=link.where) == 0

    await private_redis.restart()
    await eventually(link.ping, within_s=5)
    assert value("vision_stream_redis_up", where=link.where) == 1
    await link.close()


async def test_a_beat_is_seen_within_a_second():
    background = Background()
    background.spawn(metrics.beat("a-test"), name="beat")
    await eventually(lambda: value("vision_stream_loop_beat_timestamp_seconds", loop="a-test"))
    first = value("vision_stream_loop_beat_timestamp_seconds", loop="a-test")
    await eventually(lambda: value("vision_stream_loop_beat_timestamp_seconds", loop="a-test") != first, within_s=3)
    await background.close()
    metrics.loop_beat.remove("a-test")


async def test_the_time_to_the_browser_is_measured_from_the_frame():
    def slow() -> float:
        return value("vision_stream_detection_push_seconds_sum") or 0.0

    before = slow()
    await Hub().detection(a_detection(captured_at=time.time() - 2))
    assert slow() - before == pytest.approx(2, abs=0.5)
