"""Workers killed and stopped under load: nothing is lost, and the committed offsets reach the end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.harness import Auditor, Cameras, World, audit, committed, open_world
from tests.waiting import eventually
from vision_stream.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROUNDS_OF_SIGTERM = int(os.environ.get("FAULT_ROUNDS", "20"))
LOAD_PER_S = 25.0
LATENCY = "lognormal:0.3,1.0"


@pytest.fixture
def settings(kafka_settings) -> Settings:
    """Deadlines beyond any outage here: what then is partial or expired is a loss."""
    return kafka_settings(kafka={"scheduler": {"task_deadline_s": 300}})


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("FAULT_SEED", random.randrange(1 << 30)))
    print(f"FAULT_SEED={seed}")
    return random.Random(seed)


async def all_came_through(world: World, cameras: Cameras, within_s: float = 60.0) -> None:
    found = await audit(world.settings, cameras.taken.values(), within_s)
    print(found)
    assert not found.lost, f"{found}\n{world.logs()}"


async def all_is_committed(world: World) -> None:
    left = await committed(world.settings, within_s=15)
    assert not left, f"not committed: {left}\n{world.logs()}"


async def grown(cameras: Cameras, by: int, within_s: float = 30.0) -> None:
    """Let the load go on until it has brought ``by`` more detections."""
    target = len(cameras.taken) + by
    await eventually(lambda: len(cameras.taken) >= target, within_s, what=f"{by} more detections")


async def test_a_worker_killed_under_load_and_started_again_loses_nothing(settings, tmp_path: Path, rng):
    async with open_world(settings, tmp_path, latency=LATENCY) as world:
        worker = world.worker("a")
        await worker.start()
        async with Cameras(settings, per_s=LOAD_PER_S, seed=rng.randrange(1 << 20)) as cameras:
            for _ in range(3):
                await grown(cameras, rng.randrange(20, 80))
                worker.kill()
                await worker.start()
            await grown(cameras, 30)
        await all_came_through(world, cameras)
        await all_is_committed(world)


@pytest.mark.parametrize("when", ["sending", "delivered"])
@pytest.mark.parametrize("topic", ["assessment_tasks", "risk_assessment_results", "camera_assessments"])
async def test_a_worker_killed_between_two_lines_of_a_handler_loses_nothing(settings, tmp_path: Path, topic, when):
    async with open_world(settings, tmp_path) as world:
        dying = world.worker("dying", app="tests.faults.dying", DIE_TOPIC=topic, DIE_WHEN=when, DIE_AT="7")
        await dying.start()
        async with Cameras(settings, cameras=4, per_s=20) as cameras:
            assert await dying.process.wait(within_s=30) == -signal.SIGKILL
            await grown(cameras, 5)
        await world.worker("next").start()
        await all_came_through(world, cameras)
        await all_is_committed(world)


async def test_stopping_one_of_two_workers_twenty_times_loses_nothing(settings, tmp_path: Path, rng):
    async with open_world(settings, tmp_path, latency=LATENCY) as world:
        staying, leaving = world.worker("a"), world.worker("b")
        await asyncio.gather(staying.start(), leaving.start())
        async with (
            Auditor(settings) as auditor,
            Cameras(settings, per_s=LOAD_PER_S, seed=rng.randrange(1 << 20)) as cameras,
        ):
            for number in range(ROUNDS_OF_SIGTERM):
                await grown(cameras, rng.randrange(20, 60))
                before, began = len(cameras.taken), time.monotonic()
                assert await leaving.terminate() == 0, leaving.process.tail(40)
                await leaving.start()
                found = await auditor.settled(list(cameras.taken.values())[:before], 40)
                print(f"{number}: {time.monotonic() - began:.1f} s, {found}", flush=True)
                assert not found.lost, f"round {number}: {found}\n{world.logs()}"
        await all_came_through(world, cameras)
        await all_is_committed(world)


async def test_both_workers_killed_at_once_lose_nothing(settings, tmp_path: Path, rng):
    async with open_world(settings, tmp_path, latency=LATENCY) as world:
        workers = [world.worker("a"), world.worker("b")]
        await asyncio.gather(*(worker.start() for worker in workers))
        async with Cameras(settings, per_s=LOAD_PER_S, seed=rng.randrange(1 << 20)) as cameras:
            for _ in range(2):
                await grown(cameras, rng.randrange(30, 80))
                for worker in workers:
                    worker.kill()
                await asyncio.gather(*(worker.start() for worker in workers))
            await grown(cameras, 30)
        await all_came_through(world, cameras)
        await all_is_committed(world)
