"""F8: packets between a worker and the brokers vanish, in one direction or both, or its whole network is gone."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene
from tests.faults.suite.surroundings import SPECIAL, ports_of

SESSION_S = 6.0  # `kafka.session_timeout_s`
SHORT_S, LONG_S = (1.0, 0.6 * SESSION_S), (1.5 * SESSION_S, 2.2 * SESSION_S)
WAYS = ("out", "in", "both", "unplugged")


async def cut(scene: Scene, rng: random.Random, seconds: tuple[float, float]) -> None:
    network = scene.around.network
    assert network is not None
    way, lasts_s = rng.choice(WAYS), rng.uniform(*seconds)
    scene.event(f"b is cut off for {lasts_s:.1f} s: {way}")
    try:
        if way == "unplugged":
            await network.unplug()
        else:
            await network.cut(ports_of(scene.kafka), way)
        await asyncio.sleep(lasts_s)
    finally:
        vanished = await network.heal()
    assert vanished or way == "unplugged", "no packet came where it was cut"


ROWS = (
    Row(
        "F8.short",
        "A worker cut off for less than its session",
        partial(cut, seconds=SHORT_S),
        15.0,
        SPECIAL,
        about_s=18.0,
    ),
    Row(
        "F8.long",
        "A worker cut off for longer than its session",
        partial(cut, seconds=LONG_S),
        15.0,
        SPECIAL,
        about_s=28.0,
    ),
)
