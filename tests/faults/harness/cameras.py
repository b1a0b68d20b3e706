"""A steady load: detections with new groups, of which it is known that the brokers took them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import TracebackType

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.messages import Detection, encode
from vision_stream.settings import Settings
from vision_stream.simulators.load import Load, a_detection


class Cameras:
    """``async with Cameras(settings) as cameras``: they send until the block ends or ``stop``."""

    def __init__(
        self, settings: Settings, *, cameras: int = 16, per_s: float = 20.0, groups: int = 2, seed: int = 0
    ) -> None:
        self.taken: dict[str, Detection] = {}  # by id, once the brokers have it
        self.sent_at: dict[str, float] = {}  # by id, monotonic seconds, before it was given to the producer
        self._settings = settings
        self._load = Load(cameras=cameras, fps=per_s / cameras, seconds=1, groups=groups, session="s1", seed=seed)
        self._per_s = per_s
        self._stopped = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._sending: set[int] = set()
        self._work = Background()

    async def __aenter__(self) -> Cameras:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=",".join(self._settings.kafka.bootstrap_servers),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=120_000,  # a broker that is away for less loses nothing
        )
        await self._producer.start()
        for camera in range(self._load.cameras):
            self._work.spawn(self._run(camera), name=f"camera {camera}")
        return self

    async def __aexit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.stop()
        await self._work.close()
        await self._producer.stop()

    async def stop(self, within_s: float = 60.0) -> None:
        """Stop, and wait until all that was sent is taken."""
        self._stopped.set()
        left = await self._work.settle(within_s=within_s)
        assert not left, f"{left} cameras could not deliver their last detection"

    @property
    def camera_ids(self) -> frozenset[str]:
        return frozenset(f"load-{number + 1:04}" for number in range(self._load.cameras))

    async def pause(self, within_s: float = 60.0) -> None:
        """Send no more, and wait until all that was sent is taken."""
        self._running.clear()
        await eventually(lambda: not self._sending, within_s, what="the brokers take what was sent")

    def resume(self) -> None:
        self._running.set()

    async def _run(self, camera: int) -> None:
        period_s = self._load.cameras / self._per_s
        await self._pause(period_s * camera / self._load.cameras)
        sequence = 0
        while not self._stopped.is_set():
            if self._running.is_set():
                sequence += 1
                await self._send(camera, a_detection(self._load, camera, sequence, now=time.time()))
            await self._pause(period_s)

    async def _send(self, camera: int, detection: Detection) -> None:
        self._sending.add(camera)
        try:
            await self._deliver(detection)
        finally:
            self._sending.discard(camera)

    async def _deliver(self, detection: Detection) -> None:
        topic = self._settings.kafka.topics.detection_results.name
        self.sent_at[detection.detection_id] = time.monotonic()
        while True:
            try:
                await self._producer.send_and_wait(topic, encode(detection), key=detection.camera_id.encode())
            except KafkaError:
                await asyncio.sleep(0.5)
                continue
            self.taken[detection.detection_id] = detection
            return

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
