"""The broker or Redis killed at run time, and back: the workers go on, and nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.harness import Cameras, open_world
from tests.faults.test_kills import LOAD_PER_S, all_came_through, all_is_committed, grown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OUTAGE_S = 12.0  # twice as long as a session
LONG_DEADLINE = {"scheduler": {"task_deadline_s": 300}}


async def test_a_broker_killed_and_back_loses_nothing_and_ends_no_worker(private_kafka, kafka_settings, tmp_path: Path):
    settings = kafka_settings(kafka=LONG_DEADLINE)
    async with open_world(settings, tmp_path) as world:
        worker = world.worker("a")
        await worker.start()
        async with Cameras(settings, per_s=LOAD_PER_S) as cameras:
            await grown(cameras, 40, within_s=60)
            private_kafka.kill()
            await asyncio.sleep(OUTAGE_S)
            assert worker.process.running
            await private_kafka.restart()
            await grown(cameras, 40, within_s=60)
        await all_came_through(world, cameras)
        await all_is_committed(world)
        assert worker.process.running
        assert len(worker.log.read_text().splitlines()) < 300  # not ten lines a second while it was away


async def test_redis_killed_and_back_loses_nothing(kafka_settings, private_redis, tmp_path: Path):
    settings = kafka_settings(kafka=LONG_DEADLINE, redis_url=private_redis.url)
    async with open_world(settings, tmp_path) as world:
        worker = world.worker("a")
        await worker.start()
        async with Cameras(settings, per_s=LOAD_PER_S) as cameras:
            await grown(cameras, 40)
            private_redis.kill()
            await grown(cameras, 60)
            await private_redis.restart()
            await grown(cameras, 40)
        await all_came_through(world, cameras)
        await all_is_committed(world)
        log = worker.log.read_text()
        assert log.count("Redis is away") == 1
        assert log.count("Redis is back") == 1
