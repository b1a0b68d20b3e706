"""What a capture worker makes of its machine, with the shipped model, beside the model alone in the same run.

    python benchmarks/capture.py                 # five minutes
    python benchmarks/capture.py --quick         # one or two
    python benchmarks/capture.py --only loop kafka

    loop      frames/s of a worker on a film of 1280 x 720, as fast as it goes, against a loop of read and detect: with
              the worker's own detector, and with one whose inference has all cores; the ratio is to the faster
    batch     one call of the model, on all cores, with 1, 2, 4 and 8 pictures; and 8 cameras that share it: one by one
              on all cores, in batches on all cores, and as a worker does it by default
    cameras   how many cameras at 2 frames a second a process carries: what share was looked at, how old a frame is when
              its detection is told, and memory. A process each for 1, 10, 25 and more, until they are too many
    cluster   200 boxes into groups
    kafka     from a frame's reading to the broker's confirmation of its detection, less inference, with the pictures in
              Redis; beside it a bare producer's round trip with a message of that size

Rounds of what is compared take turns; shown are their medians. Processor time is told beside frames/s: on a machine
that has other work it is the one to believe. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).parent))
from capture_stage import (
    Listener,
    Meter,
    Spent,
    a_detector,
    a_worker,
    for_a_while,
    peak_mb,
    percentile,
    pictures_of,
    write_film,
)

from vision_stream import config, logs, topics
from vision_stream.broker import KafkaBroker
from vision_stream.clustering import cluster_boxes
from vision_stream.cores import usable_cores
from vision_stream.messages import encode
from vision_stream.redis_server import RedisServer
from vision_stream.settings import Settings
from vision_stream.stores.open import open_stores
from workers.capture.detectors import Detector
from workers.capture.inference import Inference
from workers.capture.kafka_sink import KafkaSink
from workers.capture.sources.base import Frame, Picture

FPS = 2.0  # of each camera, where several are watched
SIZES = (1, 2, 4, 8)  # of batches
CARRIED = 0.99  # share of the frames that are looked at, from which cameras count as carried
FRESH_S = FPS / 4  # and the 95th percentile of their age then: a newer one is not yet there
BOXES = 200


@dataclass(frozen=True)
class Effort:
    rounds: int
    film_frames: int
    cameras_s: float
    cameras: tuple[int, ...]
    kafka_s: float
    warm_up_s: float = 8.0  # a tracker is imported, models and connections settle


FULL = Effort(rounds=7, film_frames=200, cameras_s=20, cameras=(1, 10, 25, 50, 75, 100), kafka_s=30)
QUICK = Effort(rounds=3, film_frames=60, cameras_s=6, cameras=(1, 10, 50), kafka_s=10)
TINY = Effort(rounds=1, film_frames=6, cameras_s=2, cameras=(1,), kafka_s=3, warm_up_s=4)
EFFORTS = {"full": FULL, "quick": QUICK, "tiny": TINY}


# --- loop ----------------------------------------------------------------------------------------------------------


def loop(effort: Effort, directory: Path) -> dict[str, float]:
    film = write_film(directory / "loop.mp4", frames=effort.film_frames, fps=5)
    detector, all_cores = a_detector(), a_detector(threads=usable_cores())
    ours: list[Spent] = []
    bare: list[Spent] = []
    bare_all: list[Spent] = []
    model: list[Spent] = []
    plan = (
        (bare, _read_and_detect, detector),
        (ours, _through_a_worker, detector),
        (bare_all, _read_and_detect, all_cores),
        (model, _detect_alone, detector),
    )
    for number in range(effort.rounds + 1):  # the first is the warm-up
        for spent, work, chosen in plan:
            found = work(film, chosen)
            spent += [found] if number or effort.rounds == 1 else []
    rounds = list(zip(ours, bare, bare_all, strict=True))
    return {
        "worker_fps": _median(each.fps for each in ours),
        "bare_fps": _median(each.fps for each in bare),
        "bare_all_cores_fps": _median(each.fps for each in bare_all),
        "fps_ratio": _median(mine.fps / max(one.fps, other.fps) for mine, one, other in rounds),
        "worker_cpu_ms": _median(each.cpu_ms for each in ours),
        "bare_cpu_ms": _median(each.cpu_ms for each in bare),
        "bare_all_cores_cpu_ms": _median(each.cpu_ms for each in bare_all),
        "cpu_ratio": _median(mine.cpu_ms / one.cpu_ms for mine, one, _ in rounds),
        "model_cpu_ms": _median(each.cpu_ms for each in model),
    }


def _read_and_detect(film: Path, detector: Detector) -> Spent:
    import cv2

    frames, capture = 0, cv2.VideoCapture(str(film))
    with Meter() as meter:
        while True:
            found, picture = capture.read()
            if not found:
                break
            detector.detect(picture)
            frames += 1
    capture.release()
    return meter.spent(frames)


def _detect_alone(film: Path, detector: Detector) -> Spent:
    pictures = pictures_of(film)
    with Meter() as meter:
        for picture in pictures:
            detector.detect(picture)
    return meter.spent(len(pictures))


def _through_a_worker(film: Path, detector: Detector) -> Spent:
    async def run() -> Spent:
        inference, listener = Inference(), Listener()
        worker = a_worker(film, listener, detector=detector, inference=inference, fps=5, live=False)
        with Meter() as meter:
            await worker.run()
        inference.close()
        return meter.spent(len(listener.detections))

    return asyncio.run(run())


# --- batch ---------------------------------------------------------------------------------------------------------


def batch(effort: Effort, directory: Path) -> dict[str, Any]:
    pictures = pictures_of(write_film(directory / "batch.mp4", frames=max(SIZES), fps=1))
    cores = usable_cores()
    detector = a_detector(threads=cores, max_batch=max(SIZES))
    chosen = {
        "one by one": a_detector(threads=cores, max_batch=1),
        "batched": detector,
        "default": a_detector(),
    }
    calls: dict[int, list[Spent]] = {size: [] for size in SIZES}
    shared: dict[str, list[Spent]] = {name: [] for name in chosen}
    for _ in range(effort.rounds):
        for size in SIZES:
            calls[size].append(_in_batches(detector, pictures, size))
        for name, its in chosen.items():
            shared[name].append(asyncio.run(_shared_by_cameras(its, pictures, turns=6)))
    return {
        "curve": {size: _figures(spent, calls[1]) for size, spent in calls.items()},
        "cameras_8": {name: _figures(spent, shared["one by one"]) for name, spent in shared.items()},
    }


def _figures(spent: list[Spent], against: list[Spent]) -> dict[str, float]:
    pairs = list(zip(spent, against, strict=True))
    return {
        "fps": _median(each.fps for each in spent),
        "fps_ratio": _median(mine.fps / its.fps for mine, its in pairs),
        "cpu_ms": _median(each.cpu_ms for each in spent),
        "cpu_ratio": _median(mine.cpu_ms / its.cpu_ms for mine, its in pairs),
    }


def _in_batches(detector: Detector, pictures: list[Picture], size: int) -> Spent:
    with Meter() as meter:
        for begin in range(0, len(pictures), size):
            detector.detect_batch(pictures[begin : begin + size])
    return meter.spent(len(pictures))


async def _shared_by_cameras(detector: Detector, pictures: list[Picture], turns: int) -> Spent:
    inference = Inference()

    async def camera(picture: Picture) -> None:
        seat = inference.seat(detector)
        for turn in range(turns):
            await seat.look(Frame(picture, captured_at=time.time(), media_s=float(turn)))

    with Meter() as meter:
        await asyncio.gather(*map(camera, pictures))
    inference.close()
    return meter.spent(turns * len(pictures))


# --- cameras -------------------------------------------------------------------------------------------------------


def cameras(effort: Effort, directory: Path) -> dict[str, Any]:
    film = write_film(directory / "cameras.mp4", frames=24, fps=FPS)
    rows: dict[int, dict[str, float]] = {}
    for count in effort.cameras:
        times = ("--warm-up", str(effort.warm_up_s), "--seconds", str(effort.cameras_s))
        row = rows[count] = _child("--watch", str(count), "--film", str(film), *times)
        if row["looked_at"] < CARRIED or row["age_p95_s"] > FRESH_S:
            break
    carried = [count for count, row in rows.items() if row["looked_at"] >= CARRIED and row["age_p95_s"] <= FRESH_S]
    first, last = min(rows), max(rows)
    slope = (rows[last]["peak_mb"] - rows[first]["peak_mb"]) / (last - first) if last > first else 0.0
    return {"rows": rows, "carried": max(carried, default=0), "mb_per_camera": round(slope, 1)}


def _child(*arguments: str) -> dict[str, float]:
    """This file in a process of its own, so that memory and processor time are that one's."""
    command = [sys.executable, str(Path(__file__)), *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


async def watch(count: int, film: Path, warm_up_s: float, seconds: float) -> dict[str, float]:
    detector, inference, listener = a_detector(), Inference(), Listener()
    workers = [
        a_worker(film, listener, detector=detector, inference=inference, camera=f"cam-{number:03}", fps=FPS)
        for number in range(count)
    ]
    watching = asyncio.ensure_future(for_a_while(workers, warm_up_s + seconds + 1, spread_s=1 / FPS))
    await asyncio.sleep(warm_up_s)
    began = time.time()
    with Meter() as meter:
        await asyncio.sleep(seconds)
    ages = [came - each.times.captured_at for came, each in listener.detections if began <= came < began + seconds]
    spent = meter.spent(max(1, len(ages)))
    looked_at = min(1.0, len(ages) / (count * FPS * seconds))
    ages = ages or [seconds]  # nothing came: at least as old as that
    await watching
    inference.close()
    return {
        "looked_at": round(looked_at, 3),
        "age_p50_s": round(percentile(ages, 0.5), 3),
        "age_p95_s": round(percentile(ages, 0.95), 3),
        "cpu_ms": round(spent.cpu_ms, 1),
        "peak_mb": round(peak_mb()),
    }


# --- cluster -------------------------------------------------------------------------------------------------------


def cluster(effort: Effort, directory: Path) -> dict[str, float]:
    corners = np.random.default_rng(1).uniform(0, (1880, 1040), (BOXES, 2))
    boxes = np.hstack([corners, corners + 40])
    milliseconds = []
    for _ in range(100 * effort.rounds):
        began = time.perf_counter()
        cluster_boxes(boxes, 150)
        milliseconds.append(1000 * (time.perf_counter() - began))
    return {"median_ms": _median(milliseconds), "p95_ms": round(percentile(milliseconds, 0.95), 3)}


# --- kafka ---------------------------------------------------------------------------------------------------------


class Confirmed(KafkaSink):
    """Notes when the broker has confirmed which detection, and how long its inference took."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.kafka)
        self.beyond_ms: list[float] = []
        self.largest = 0
        self._inference_s: dict[float, float] = {}

    async def detection(self, detection: Any, /) -> None:
        self._inference_s[detection.times.captured_at] = detection.inference_s
        self.largest = max(self.largest, len(encode(detection)))
        await super().detection(detection)

    def _delivered(self, message: Any, where: Any) -> None:
        super()._delivered(message, where)
        if message.captured_at is not None:
            inference_s = self._inference_s.pop(message.captured_at)
            self.beyond_ms.append(1000 * (time.time() - message.captured_at - inference_s))


def kafka(effort: Effort, directory: Path) -> dict[str, float]:
    return asyncio.run(_kafka(effort, directory))


async def _kafka(effort: Effort, directory: Path) -> dict[str, float]:
    film = write_film(directory / "kafka.mp4", frames=50, fps=5)
    async with KafkaBroker() as broker, RedisServer() as redis:
        environ = {
            "ALGO_ENABLE_KAFKA_STREAMING": "true",
            "ALGO_KAFKA_BOOTSTRAP_SERVERS": ",".join(broker.bootstrap_servers),
            "ALGO_REDIS_URL": redis.url,
        }
        settings = config.load(environ=environ)
        await topics.ensure(settings)
        stores, inference, sink = open_stores(settings), Inference(), Confirmed(settings)
        worker = a_worker(
            film, sink, detector=a_detector(), inference=inference, fps=5, settings=settings, stores=stores
        )
        await sink.start()
        await for_a_while([worker], effort.warm_up_s, spread_s=0)
        sink.beyond_ms.clear()
        worker = a_worker(
            film, sink, detector=a_detector(), inference=inference, fps=5, settings=settings, stores=stores
        )
        watching = asyncio.ensure_future(for_a_while([worker], effort.kafka_s, spread_s=0))
        bare_ms = await _bare(settings, sink, until=watching)
        await watching
        await sink.close()
        await stores.close()
        inference.close()
    return {
        "p50_ms": round(percentile(sink.beyond_ms, 0.5), 2),
        "p95_ms": round(percentile(sink.beyond_ms, 0.95), 2),
        "bare_p50_ms": round(percentile(bare_ms, 0.5), 2),
        "bare_p95_ms": round(percentile(bare_ms, 0.95), 2),
        "detections": len(sink.beyond_ms),
        "message_bytes": sink.largest,
    }


async def _bare(settings: Settings, sink: Confirmed, *, until: asyncio.Future[None]) -> list[float]:
    """Milliseconds of sends of a bare producer, five a second like the camera's frames, in the same time."""
    servers = ",".join(settings.kafka.bootstrap_servers)
    milliseconds = []
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        while not until.done():
            began = time.perf_counter()
            await producer.send_and_wait(settings.kafka.topics.dead_letters.name, b"x" * max(1, sink.largest))
            milliseconds.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(0.2)
    return milliseconds


# --- all of it -----------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Effort, Path], dict[str, Any]]] = {
    "loop": loop,
    "batch": batch,
    "cameras": cameras,
    "cluster": cluster,
    "kafka": kafka,
}


def main() -> None:
    options = _options()
    logs.setup("ERROR")
    if options.watch:
        print(json.dumps(asyncio.run(watch(options.watch, options.film, options.warm_up, options.seconds))))
        return
    effort = EFFORTS[options.effort]
    figures: dict[str, Any] = {"cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory(prefix="vision-stream-bench-") as directory:
        for name in options.only:
            figures[name] = PARTS[name](effort, Path(directory))
            print(_table(name, figures[name]), flush=True)
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--effort", choices=EFFORTS, default="full")
    parser.add_argument("--quick", dest="effort", action="store_const", const="quick")
    parser.add_argument("--watch", type=int, default=0, help=argparse.SUPPRESS)  # as a process of its own
    parser.add_argument("--film", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm-up", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _table(name: str, figures: dict[str, Any]) -> str:
    lines = [name]
    for key, value in figures.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        lines += [f"  {key:<22}{row!s:>10}  {_cells(cells)}" for row, cells in rows]
    return "\n".join(lines)


def _cells(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {number:g}" for key, number in value.items())
    return f"{value:g}"


def _median(values: Any) -> float:
    return round(statistics.median(values), 3)


if __name__ == "__main__":
    main()
