"""F1 and F2: workers killed, one and all."""

from __future__ import annotations

import random

from tests.faults.suite.row import Row, Setting
from tests.faults.suite.scene import Scene


async def kill_one(scene: Scene, rng: random.Random) -> None:
    """Its supervisor starts it again at once."""
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    worker.kill()
    scene.event(f"killed {worker.name}")
    await worker.start(until_ready=False)


async def kill_all(scene: Scene, rng: random.Random) -> None:
    workers = list(scene.workers.values())
    rng.shuffle(workers)
    for worker in workers:
        worker.kill()
    for worker in workers:
        await worker.start(until_ready=False)


ROWS = (
    Row("F1", "SIGKILL of one worker of a role, two of each", kill_one, 10.0, Setting(roles=True)),
    Row("F2", "SIGKILL of all workers at once", kill_all, 10.0),
)
