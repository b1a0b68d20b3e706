"""A load as cameras give it: most frames show what the one before showed, and the gate lets those pass by."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from vision_stream.background import Background
from vision_stream.messages import Detection, encode
from vision_stream.settings import Settings
from vision_stream.simulators.load import Load, a_detection

NEW_EACH = 10  # frames of a camera; at 50 cameras and 100 frames a second a scene stays for five seconds
GROUPS = 2
RETRY_S = 0.5
BURST = 10  # frames of a camera at most that follow at once on an outage


class Traffic:
    """``async with Traffic(...) as traffic``: it flows until the block ends or ``stop``. Keeps nothing of what it sent.

    ``sending`` is told of each detection before the broker has it, and whether its groups are new.
    """

    def __init__(
        self, settings: Settings, sending: Callable[[Detection, bool], None], *, cameras: int, per_s: float, seed: int
    ) -> None:
        self.sent = 0
        self._topic = settings.kafka.topics.detection_results.name
        self._sending = sending
        self._load = Load(cameras=cameras, fps=per_s / cameras, seconds=1, groups=GROUPS, session="soak", seed=seed)
        self._scenes: dict[int, Detection] = {}
        self._stopped = asyncio.Event()
        self._work = Background()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=",".join(settings.kafka.bootstrap_servers), acks="all", enable_idempotence=True
        )

    async def __aenter__(self) -> Traffic:
        await self._producer.start()
        for camera in range(self._load.cameras):
            self._work.spawn(self._run(camera), name=f"camera {camera}")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._work.close()
        await self._producer.stop()

    async def stop(self, within_s: float = 60.0) -> None:
        """Send no more, and wait until all that was sent is taken."""
        self._stopped.set()
        left = await self._work.settle(within_s=within_s)
        assert not left, f"{left} cameras could not deliver their last detection"

    async def _run(self, camera: int) -> None:
        """Keeps to its times, so that slow answers of the broker's do not lower the load."""
        period_s = 1 / self._load.fps
        phase = random.Random(f"{self._load.seed}/{camera}").randrange(NEW_EACH)
        due, sequence = time.monotonic() + period_s * camera / self._load.cameras, 0
        while not await self._is_over(due - time.monotonic()):
            due = max(due + period_s, time.monotonic() - BURST * period_s)
            sequence += 1
            new = sequence == 1 or sequence % NEW_EACH == phase
            detection = self._frame(camera, sequence, new=new)
            self._sending(detection, new)
            await self._deliver(detection)

    def _frame(self, camera: int, sequence: int, *, new: bool) -> Detection:
        detection = a_detection(self._load, camera, sequence, now=time.time())
        if new:
            self._scenes[camera] = detection
            return detection
        scene = self._scenes[camera]
        return replace(detection, objects=scene.objects, groups=scene.groups)

    async def _deliver(self, detection: Detection) -> None:
        value, key = encode(detection), detection.camera_id.encode()
        while True:
            try:
                await self._producer.send_and_wait(self._topic, value, key=key)
            except KafkaError:
                await asyncio.sleep(RETRY_S)
            else:
                self.sent += 1
                return

    async def _is_over(self, wait_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._stopped.wait()
        return self._stopped.is_set()
