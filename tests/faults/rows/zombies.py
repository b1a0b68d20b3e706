"""F5: a worker frozen past its session, whose partitions others have when it wakes."""

from __future__ import annotations

import asyncio
import random
import signal

from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene


async def freeze_past_the_session(scene: Scene, rng: random.Random) -> None:
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    seconds = scene.settings.kafka.session_timeout_s + rng.uniform(0.5, 4.0)
    worker.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        worker.send(signal.SIGCONT)
    scene.event(f"froze {worker.name} for {seconds:.1f} s")


ROWS = (
    Row("F5", "Zombie: SIGSTOP of one of two workers past its session, SIGCONT", freeze_past_the_session, 10.0,
        about_s=20),
)  # fmt: skip
