"""F9: Redis killed, frozen, flushed, read-only, out of memory. It keeps nothing that a message's fate hangs on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene
from tests.faults.suite.surroundings import SPECIAL
from vision_stream.redis_server import RedisServer

LASTS_S = (2.0, 5.0)
RECOVERS_S = 5.0


def _redis(scene: Scene) -> RedisServer:
    assert scene.redis is not None
    return scene.redis


@asynccontextmanager
async def _asked(scene: Scene) -> AsyncIterator[Redis]:
    async with Redis.from_url(_redis(scene).url) as client:
        yield client


async def killed(scene: Scene, rng: random.Random) -> None:
    """It comes back empty."""
    redis = _redis(scene)
    redis.kill()
    await asyncio.sleep(rng.uniform(*LASTS_S))
    await redis.restart()


async def frozen(scene: Scene, rng: random.Random) -> None:
    """Connections are taken, and nothing answers."""
    pid = _redis(scene).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(rng.uniform(*LASTS_S))
    finally:
        os.kill(pid, signal.SIGCONT)


async def flushed(scene: Scene, rng: random.Random) -> None:
    async with _asked(scene) as client:
        for _ in range(rng.randint(1, 4)):
            await client.flushall()
            await asyncio.sleep(rng.uniform(0.1, 1.0))
        await client.script_flush()


async def read_only(scene: Scene, rng: random.Random) -> None:
    """As a copy without its master, or as a master that misses its copies."""
    async with _asked(scene) as client:
        if rng.random() < 0.5:
            scene.event("a copy")
            await client.replicaof("127.0.0.1", "9")
            await asyncio.sleep(rng.uniform(*LASTS_S))
            await client.replicaof("NO", "ONE")
        else:
            scene.event("without copies")
            await client.config_set("min-replicas-to-write", 1)
            await asyncio.sleep(rng.uniform(*LASTS_S))
            await client.config_set("min-replicas-to-write", 0)


async def out_of_memory(scene: Scene, rng: random.Random) -> None:
    async with _asked(scene) as client:
        await client.config_set("maxmemory", 1)
        await asyncio.sleep(rng.uniform(*LASTS_S))
        await client.config_set("maxmemory", 0)


ROWS = tuple(
    Row(f"F9.{name}", f"Redis {title}", fault, RECOVERS_S, SPECIAL)
    for name, title, fault in (
        ("killed", "killed, and back empty after 2 to 5 s", killed),
        ("frozen", "frozen (SIGSTOP) for 2 to 5 s", frozen),
        ("flushed", "flushed, up to four times, its scripts too", flushed),
        ("read-only", "read-only for 2 to 5 s", read_only),
        ("out-of-memory", "out of memory for 2 to 5 s", out_of_memory),
    )
)
