"""Cameras that are stopped, killed, paused, muted, frozen and started anew, again and again: none is left blind.

RTSP_SEED=7 RTSP_ROUNDS=100 pytest tests/integration/test_rtsp_rounds.py
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.films import ColourDetector
from tests.rtsp_cameras import RtspServer
from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.messages import CameraStatus, Detection
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from workers.capture.feed import FeedPolicy
from workers.capture.inference import Inference
from workers.capture.sources import Link
from workers.capture.worker import CaptureWorker

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("RTSP_ROUNDS", "20"))
CAMERAS: tuple[tuple[str, str, Literal["tcp", "udp"]], ...] = (
    ("north", "h264", "tcp"),
    ("south", "h264", "udp"),
    ("yard", "jpeg", "tcp"),
)
# As in production (10 s to read, 12 s to stall, 60 s to freeze), only shorter; opening takes 1 to 2 s.
OPEN_S, READ_S = 6.0, 0.8
POLICY = FeedPolicy(stall_s=1.2, first_frame_s=12.0, frozen_s=1.0, first_retry_s=0.1, max_retry_s=0.4)
NOTICED_S, BACK_S = 15.0, 30.0  # on a busy machine

pytestmark = pytest.mark.rtsp


class Camera:
    """A server with one camera, and the worker that watches it."""

    def __init__(self, name: str, server: RtspServer, transport: Literal["tcp", "udp"]) -> None:
        self.name = name
        self.link = Link(transport, open_s=OPEN_S, read_s=READ_S)
        self.server = server
        self.seen: list[Detection] = []
        self.statuses: list[CameraStatus] = []

    async def detection(self, detection: Detection, /) -> None:
        self.seen.append(detection)

    async def status(self, status: CameraStatus, /) -> None:
        self.statuses.append(status)

    def worker(self, inference: Inference, detector: ColourDetector) -> CaptureWorker:
        source = self.server.url(self.name)
        return CaptureWorker(
            CameraSettings.model_validate({"id": self.name, "source": source, "fps": 5}),
            Settings(),
            detector=detector,
            inference=inference,
            sink=self,
            evidence=MemoryEvidence(),
            frames=MemoryFrames(),
            policy=POLICY,
            link=self.link,
        )

    async def is_noticed(self, told: int) -> CameraStatus:
        """The first status after ``told`` of them that is not online."""
        away = await eventually(
            lambda: [each for each in self.statuses[told:] if each.state != "online"], NOTICED_S, what=f"{self} noticed"
        )
        return away[0]

    async def is_seen_from(self, moment: float) -> None:
        await eventually(
            lambda: self.seen and self.seen[-1].times.captured_at > moment and self.statuses[-1].state == "online",
            BACK_S,
            what=f"{self} is seen again",
        )

    def __repr__(self) -> str:
        return f"{self.name}: {[(each.state, each.reason) for each in self.statuses[-4:]]}"


# --- what befalls a camera: each breaks it, waits until that is noticed, and mends it -----------------------------

Noticed = Callable[[], Awaitable[CameraStatus]]


async def stopped(camera: Camera, noticed: Noticed) -> CameraStatus:
    await camera.server.stop()
    status = await noticed()
    await camera.server.start()
    return status


async def killed(camera: Camera, noticed: Noticed) -> CameraStatus:
    await camera.server.kill()
    status = await noticed()
    await camera.server.start()
    return status


async def restarted(camera: Camera, noticed: Noticed) -> CameraStatus:
    await camera.server.stop()
    await camera.server.start()
    return await noticed()


async def paused(camera: Camera, noticed: Noticed) -> CameraStatus:
    camera.server.pause()
    try:
        return await noticed()
    finally:
        camera.server.resume()


async def muted(camera: Camera, noticed: Noticed) -> CameraStatus:
    await camera.server.tell("mute", camera.name)
    status = await noticed()
    await camera.server.tell("play", camera.name)
    return status


async def frozen(camera: Camera, noticed: Noticed) -> CameraStatus:
    await camera.server.tell("freeze", camera.name)
    status = await noticed()
    await camera.server.tell("play", camera.name)
    return status


SAID = {
    stopped: ("reconnecting", ("ended, or closed the connection", "connection refused")),
    killed: ("reconnecting", ("ended, or closed the connection", "connection refused")),
    restarted: ("reconnecting", ("ended, or closed the connection", "connection refused")),
    paused: ("stalled", ("no frames for",)),
    muted: ("stalled", ("no frames for",)),
    frozen: ("stalled", ("the same picture for 1 s",)),
}


async def befall(camera: Camera, trouble: Callable[[Camera, Noticed], Awaitable[CameraStatus]]) -> None:
    told, began = len(camera.statuses), time.time()
    status = await trouble(camera, lambda: camera.is_noticed(told))
    state, reasons = SAID[trouble]  # type: ignore[index]
    assert status.state == state, camera
    assert any(reason in status.reason for reason in reasons), camera
    assert began <= status.since <= time.time()
    await camera.is_seen_from(time.time())


@asynccontextmanager
async def watched_cameras() -> AsyncIterator[list[Camera]]:
    """Each with a server and a worker of its own; all of one detector."""
    inference, detector, background = Inference(), ColourDetector(), Background()
    async with AsyncExitStack() as servers:
        cameras = [
            Camera(name, await servers.enter_async_context(RtspServer({name: kind})), transport)
            for name, kind, transport in CAMERAS
        ]
        for camera in cameras:
            background.spawn(camera.worker(inference, detector).run(), name=camera.name)
        try:
            yield cameras
        finally:
            await background.close()
            inference.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_camera_is_left_blind_whatever_befalls_it():
    seed = int(os.environ.get("RTSP_SEED", time.time_ns() % 100_000))
    print(f"RTSP_SEED={seed}")
    chance = random.Random(seed)
    rounds = [[chance.choice(list(SAID)) for _ in CAMERAS] for _ in range(ROUNDS)]
    async with watched_cameras() as cameras:
        for camera in cameras:
            await camera.is_seen_from(0.0)
        for number, troubles in enumerate(rounds):
            print(number, [each.__name__ for each in troubles])
            await asyncio.gather(*map(befall, cameras, troubles))
        assert {each.state for camera in cameras for each in camera.statuses[-1:]} == {"online"}


async def test_a_capture_process_finds_its_cameras_again_and_says_so(tmp_path: Path):
    async with RtspServer({"north": "h264", "south": "jpeg"}) as server:
        cameras = [{"id": name, "source": server.url(name), "fps": 5} for name in ("north", "south")]
        (tmp_path / "cameras.yaml").write_text(json.dumps({"cameras": cameras}))
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workers.capture", "--json", "--config-dir", str(tmp_path)),
            stdout=PIPE,
            stderr=PIPE,
            cwd=ROOT,
            env={**os.environ, "ALGO_MONITORING_PROMETHEUS_PORT": "0", "ALGO_LOG_FORMAT": "json"},
        )
        said = Said(worker.stderr)
        try:
            await said.of_each("camera is online", {"north", "south"})
            await server.kill()
            away = await said.of_each("camera is reconnecting", {"north", "south"}, reason="connection refused")
            await server.start()
            await said.of_each("camera is online", {"north", "south"})
            worker.send_signal(signal.SIGTERM)
            out, _ = await worker.communicate()
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.communicate()
    assert worker.returncode == 0
    assert all(line["timestamp"] for line in away)
    assert all(camera["frames"] > 0 for camera in json.loads(out)["cameras"])


class Said:
    """The log of a process, from where it was read last."""

    def __init__(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        self._stream = stream

    async def of_each(self, event: str, cameras: set[str], *, reason: str = "") -> list[dict[str, str]]:
        """Lines of ``event``, one of each of ``cameras``, in whose reason is ``reason``."""
        found: dict[str, dict[str, str]] = {}
        async with asyncio.timeout(60):
            while set(found) != cameras:
                text = await self._stream.readline()
                assert text, f"it ended before it said {event!r} of {cameras - set(found)}"
                line = json.loads(text)
                if line["event"] == event and reason in (line.get("reason") or ""):
                    found[line["camera"]] = line
        return list(found.values())
