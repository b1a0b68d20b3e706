"""Workers killed between two lines of a handler. Kills, stops and storms at random moments are the fault suite's."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.harness import Cameras, World, audit, committed, open_world
from tests.waiting import eventually
from vision_stream.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LOAD_PER_S = 25.0


@pytest.fixture
def settings(kafka_settings) -> Settings:
    """Deadlines beyond any outage here: what then is partial or expired is a loss."""
    return kafka_settings(kafka={"scheduler": {"task_deadline_s": 300}})


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
