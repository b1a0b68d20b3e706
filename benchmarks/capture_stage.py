"""What ``benchmarks/capture.py`` measures on: a film of a simulated street, real capture workers, and who listens."""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from vision_stream.messages import CameraStatus, Detection
from vision_stream.settings import CameraSettings, ModelSettings, Settings
from vision_stream.simulators.traffic import parse_scene
from vision_stream.stores.open import Stores, open_stores
from workers.capture.detectors import Detector, open_detector
from workers.capture.inference import Inference
from workers.capture.sink import Sink
from workers.capture.sources.base import Picture
from workers.capture.worker import CaptureWorker


def write_film(path: Path, *, frames: int, fps: float, width: int = 1280, height: int = 720) -> Path:
    """A street as a camera would send it; MPEG-4, about as dear to decode as what cameras send."""
    scene = parse_scene(f"sim:crossing?seed=3&width={width}&height={height}")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for number in range(frames):
        writer.write(scene.render(number / fps))
    writer.release()
    return path


def pictures_of(film: Path) -> list[Picture]:
    capture = cv2.VideoCapture(str(film))
    pictures = []
    while True:
        found, picture = capture.read()
        if not found:
            capture.release()
            return pictures
        pictures.append(picture)


def a_detector(**settings: Any) -> Detector:
    return open_detector(ModelSettings.model_validate(settings))


@dataclass
class Listener:
    """A sink that notes when each detection came."""

    detections: list[tuple[float, Detection]] = field(default_factory=list)  # (epoch seconds, ...)

    async def detection(self, detection: Detection, /) -> None:
        self.detections.append((time.time(), detection))

    async def status(self, status: CameraStatus, /) -> None:
        pass


@dataclass(frozen=True)
class Spent:
    """Of a piece of work on this machine, whatever else ran on it."""

    frames: int
    seconds: float
    cpu_s: float  # of this process, all its threads

    @property
    def fps(self) -> float:
        return self.frames / self.seconds

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.frames


class Meter:
    """``with Meter() as meter: ...``, then ``meter.spent(frames)``."""

    def __enter__(self) -> Meter:
        self._began, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._cpu_s = time.perf_counter() - self._began, time.process_time() - self._cpu

    def spent(self, frames: int) -> Spent:
        return Spent(frames, self._seconds, self._cpu_s)


def a_worker(
    source: Path,
    sink: Sink,
    *,
    detector: Detector,
    inference: Inference,
    camera: str = "cam-01",
    fps: float = 2.0,
    live: bool = True,
    settings: Settings | None = None,
    stores: Stores | None = None,
) -> CaptureWorker:
    """``live``: the film is played at its own speed, over and over; else as fast as it is looked at, once."""
    settings = settings or Settings()
    stores = stores or open_stores(settings)
    return CaptureWorker(
        CameraSettings.model_validate({"id": camera, "source": str(source), "fps": fps}),
        settings,
        detector=detector,
        inference=inference,
        sink=sink,
        evidence=stores.evidence,
        frames=stores.frames,
        loop=live,
        realtime=live,
    )


async def for_a_while(workers: Sequence[CaptureWorker], seconds: float, *, spread_s: float) -> None:
    """Run all, their starts spread over ``spread_s``: cameras do not tick together."""

    async def later(worker: CaptureWorker, delay: float) -> None:
        await asyncio.sleep(delay)
        await worker.run()

    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for number, worker in enumerate(workers):
                group.create_task(later(worker, number * spread_s / len(workers)))
    except TimeoutError:
        pass


def peak_mb() -> float:
    """The most memory that this process has had; Linux counts in what ``getrusage`` says that of the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 1000  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
