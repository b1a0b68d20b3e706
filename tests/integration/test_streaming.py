"""The three agents on real Kafka: what goes in comes out, once, and what cannot be read stops nothing."""

from __future__ import annotations

from pathlib import Path

from tests.faults.harness import Cameras, audit, open_world
from tests.faults.harness.audit import committed


async def test_every_group_is_assessed_and_every_request_joined_once(kafka_settings, tmp_path: Path):
    settings = kafka_settings()
    async with open_world(settings, tmp_path) as world:
        await world.worker("a").start()
        async with Cameras(settings, per_s=20) as cameras:
            import asyncio

            await asyncio.sleep(3)
        found = await audit(settings, cameras.taken.values(), within_s=20)
        print(found)
        assert not found.lost, f"{found}\n{world.logs()}"
        assert not any(found.repeated.values()), found
        assert not await committed(settings)
