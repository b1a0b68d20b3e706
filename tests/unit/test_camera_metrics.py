"""What is counted of a camera, and that nothing of it is left once it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, generate_latest

from tests.films import ColourDetector
from tests.waiting import eventually
from vision_stream import camera_metrics
from vision_stream.camera_metrics import OF_A_CAMERA, CameraMetrics
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from workers.capture.fleet import Fleet
from workers.capture.inference import Inference
from workers.capture.worker import CaptureWorker


@pytest.fixture
def gate() -> Iterator[CameraMetrics]:
    camera_metrics.forget("gate")  # what tests before this one have counted
    gate = CameraMetrics("gate")
    gate.begin()
    yield gate
    camera_metrics.forget("gate")


def lines_of(camera_id: str) -> list[str]:
    return [line for line in generate_latest().decode().splitlines() if f'camera="{camera_id}"' in line]


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"camera": "gate", **labels})


def test_a_camera_begins_at_0_and_has_at_most_ten_series(gate: CameraMetrics):
    assert value("detection_total") == value("vision_stream_camera_reconnects_total") == 0

    for reason in ("detector failed", "broker away", "not delivered at the end"):
        gate.skipped(reason)

    assert len(lines_of("gate")) == 10


def test_what_happens_to_its_frames_is_counted(gate: CameraMetrics):
    gate.captured()
    gate.captured()
    gate.passed_over()
    gate.inferred(0.25)
    gate.newest(1000.5)
    gate.published(time.time())

    assert value("vision_stream_frames_captured_total") == 2
    assert value("vision_stream_frames_skipped_total", reason="newer frame") == 1
    assert value("vision_stream_frames_inferred_total") == 1
    assert value("vision_stream_camera_inference_seconds_total") == 0.25
    assert value("vision_stream_camera_last_frame_timestamp_seconds") == 1000.5
    assert value("detection_total") == 1


def test_news_of_a_camera_that_is_gone_bring_none_of_its_series_back(gate: CameraMetrics):
    gate.skipped("broker away")
    camera_metrics.forget("gate")

    gate.captured()
    gate.published(time.time())
    late = camera_metrics.of("gate")

    assert late is None
    assert lines_of("gate") == []


def test_every_family_with_a_camera_is_forgotten_with_it():
    with_a_camera = {
        family for family in REGISTRY._names_to_collectors.values() if "camera" in getattr(family, "_labelnames", ())
    }
    assert with_a_camera == set(OF_A_CAMERA)


class Deaf:
    async def detection(self, detection, /) -> None: ...

    async def status(self, status, /) -> None: ...


@pytest.fixture
async def fleet():
    inference, detector = Inference(), ColourDetector()

    def hire(camera: CameraSettings) -> CaptureWorker:
        return CaptureWorker(
            camera,
            Settings(),
            detector=detector,
            inference=inference,
            sink=Deaf(),
            evidence=MemoryEvidence(),
            frames=MemoryFrames(),
        )

    fleet = Fleet(hire)
    yield fleet
    await fleet.close()
    inference.close()
    camera_metrics.forget("gate")


async def test_a_running_camera_is_counted_until_it_is_removed(fleet: Fleet):
    camera = CameraSettings.model_validate({"id": "gate", "source": "sim:quiet?width=320&height=240", "fps": 20})
    fleet.start([camera])
    await eventually(lambda: (value("detection_total") or 0) >= 3, within_s=20)
    inferred = value("vision_stream_frames_inferred_total")
    captured = value("vision_stream_frames_captured_total")
    assert inferred is not None
    assert captured is not None
    assert captured >= inferred >= 3

    await fleet.apply([camera.model_copy(update={"name": "North gate"})])
    assert (value("detection_total") or 0) >= 3, "another run of a camera goes on counting"

    await fleet.apply([])
    assert lines_of("gate") == []
