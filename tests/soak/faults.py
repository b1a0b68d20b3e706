"""F1 to F5 in turn. Worker ``a`` is hurt by the first F2 alone, so that one lives long enough for a slope, through all
the recoveries that the others' ends bring it.

Each returns when its fault is over: what ended has been started anew, and may not be ready yet. What it returns is
epoch seconds, from which its recovery counts.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager

from tests.soak.stage import Stage
from vision_stream.errors import VisionStreamError

WORKERS = ("a", "b", "d")  # and ``c``, which comes and goes
STORM_CHANGES, STORM_EVERY_S = 6, 5.0
ZOMBIE_S = 10.0  # beyond the session's end


class Misbehaved(VisionStreamError):
    """A worker did not do what it should in a fault."""


async def kill_one(stage: Stage) -> float:
    with _unwatched(stage, "b"):
        stage.workers["b"].kill()
        await stage.start("b", until_ready=False)
    return time.time()


async def kill_all(stage: Stage) -> float:
    names = WORKERS[1:] if stage.all_were_killed else WORKERS
    stage.all_were_killed = True
    with _unwatched(stage, *names):
        for name in names:
            stage.workers[name].kill()
        for name in names:
            await stage.start(name, until_ready=False)
    return time.time()


async def stop_one(stage: Stage) -> float:
    with _unwatched(stage, "b"):
        status = await stage.workers["b"].terminate()
        over = time.time()
        await stage.start("b", until_ready=False)
    if status != 0:
        raise Misbehaved(f"SIGTERM ended the worker with {status}")
    return over


async def rebalance_storm(stage: Stage) -> float:
    for _ in range(STORM_CHANGES // 2):
        await stage.start("c", until_ready=False)
        await asyncio.sleep(STORM_EVERY_S)
        await stage.workers["c"].terminate()
        over = time.time()
        await asyncio.sleep(STORM_EVERY_S)
    return over


async def zombie(stage: Stage) -> float:
    """Stopped past its session, and then going on as if nothing had been."""
    stage.workers["b"].send(signal.SIGSTOP)
    try:
        await asyncio.sleep(stage.settings.kafka.session_timeout_s + ZOMBIE_S)
    finally:  # also where the run ends just now
        stage.workers["b"].send(signal.SIGCONT)
    return time.time()


FAULTS: dict[str, tuple[str, float, Callable[[Stage], Awaitable[float]]]] = {  # title, recovery asked in seconds
    "F1": ("SIGKILL of one of three workers", 10, kill_one),
    "F2": ("SIGKILL of all three at once; from the second time on of two", 10, kill_all),
    "F3": ("SIGTERM of one of three workers", 3, stop_one),
    "F4": ("a worker added or removed every 5 s, 6 times", 10, rebalance_storm),
    "F5": ("SIGSTOP of a worker past its session, then SIGCONT", 10, zombie),
}


@contextmanager
def _unwatched(stage: Stage, *names: str):
    """The fault starts them again itself."""
    stage.watched -= set(names)
    try:
        yield
    finally:
        stage.watched |= set(names)
