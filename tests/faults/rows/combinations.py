"""Two faults at once: any two of different families that can be played on one setting."""

from __future__ import annotations

import asyncio
import random

from tests.faults.rows import kills, llm, network, poison, redis, resources
from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene
from tests.faults.suite.surroundings import SPECIAL

APART_S = 3.0  # between their beginnings, at most
MODULES = (kills, llm, network, poison, redis, resources)
KILLS = frozenset({"F1", "F2"})  # their own setting has other workers, which they do not mind


def candidates() -> list[Row]:
    return [row for module in MODULES for row in module.ROWS if row.setting == SPECIAL or row.name in KILLS]


async def two_at_once(scene: Scene, rng: random.Random) -> None:
    first = rng.choice(candidates())
    second = rng.choice([row for row in candidates() if row.family != first.family])
    scene.event(f"{first.name} and {second.name}")
    try:
        async with asyncio.TaskGroup() as both:
            for row in (first, second):
                both.create_task(_play(row, scene, random.Random(rng.random()), after_s=rng.uniform(0.0, APART_S)))
    except ExceptionGroup as failed:
        raise AssertionError("; ".join(map(str, failed.exceptions))) from failed


async def _play(row: Row, scene: Scene, rng: random.Random, *, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await row.fault(scene, rng)


ROWS = (Row("F17", "Two of F1, F2, F8 to F12 and F15 at once", two_at_once, 15.0, SPECIAL, about_s=25.0),)
