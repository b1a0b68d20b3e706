"""F3 and F4: workers that are asked to end, and that come and go."""

from __future__ import annotations

import asyncio
import random
import signal
import time

from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene

ENDS_WITHIN_S = 25.0  # 20 s to finish what is in flight, and a busy machine
SECOND_ENDS_WITHIN_S = 3.0  # 1 s asked; the rest is a busy machine's
STORM_EVERY_S = 5.0
MAY_RUN = (1, 4)  # workers, during a storm


async def stop_one(scene: Scene, rng: random.Random) -> None:
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    began = time.monotonic()
    status = await worker.terminate(ENDS_WITHIN_S)
    scene.event(f"{worker.name} ended after {time.monotonic() - began:.1f} s")
    assert status == 0, f"{worker.name} ended with {status}:\n{worker.process.tail(40)}"
    await worker.start(until_ready=False)


async def stop_one_twice(scene: Scene, rng: random.Random) -> None:
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    worker.send(signal.SIGTERM)
    await asyncio.sleep(rng.uniform(0.0, 0.5))
    began = time.monotonic()
    status = await worker.terminate(SECOND_ENDS_WITHIN_S)
    scene.event(f"{worker.name} ended {time.monotonic() - began:.1f} s after the second, with {status}")
    assert status is not None, f"{worker.name} still runs {SECOND_ENDS_WITHIN_S:g} s after a second SIGTERM"
    await worker.start(until_ready=False)


async def storm(scene: Scene, rng: random.Random) -> None:
    """Six times a worker more or fewer; in the end as many as before."""
    for step, joins in enumerate(_steps(rng, len(scene.workers))):
        if step:
            await asyncio.sleep(STORM_EVERY_S)
        if joins:
            worker = scene.add_worker(f"extra-{step}-{rng.randrange(1 << 20)}")
            await worker.start(until_ready=False)
        else:
            worker = scene.remove_worker(rng.choice(sorted(scene.workers)))
            worker.send(signal.SIGTERM)
        scene.event(f"{'added' if joins else 'asked to end'} {worker.name}")


def _steps(rng: random.Random, running: int) -> list[bool]:
    """True: one joins. Never fewer or more workers than may run."""
    while True:
        steps = [True] * 3 + [False] * 3
        rng.shuffle(steps)
        counts = [running + sum(1 if joins else -1 for joins in steps[:n]) for n in range(1, 7)]
        if MAY_RUN[0] <= min(counts) and max(counts) <= MAY_RUN[1]:
            return steps


ROWS = (
    Row("F3.once", "SIGTERM to one of two workers, started again when it has ended", stop_one, 3.0),
    Row("F3.twice", "SIGTERM twice to one of two workers", stop_one_twice, 3.0),
    Row("F4", "Rebalance storm: a worker added or removed every 5 s, 6 times", storm, 10.0, about_s=42),
)
