"""An operator's word on an API key, and a changed api_keys.yaml, with two workers on real Kafka."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import pytest
import yaml

from tests.faults.harness import World, open_world
from tests.faults.harness.world import ROOT, Worker
from tests.integration.test_streaming import settings_for
from tests.waiting import eventually

pytestmark = pytest.mark.kafka


async def keys_command(world: World, *arguments: str) -> None:
    await command_line(world, "keys", *arguments)


async def command_line(world: World, *arguments: str) -> None:
    command = (sys.executable, "-m", "vision_stream", *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=os.environ | world._environ)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def key_of(worker: Worker, key_id: str) -> dict[str, Any]:
    stats = await worker.stats() or {"api_keys": []}
    return next((key for key in stats["api_keys"] if key["id"] == key_id), {})


async def shed_below(workers: list[Worker], priority: int) -> bool:
    return all([(await worker.stats() or {}).get("shed_below") == priority for worker in workers])


async def test_a_word_reaches_all_workers_and_outlives_them_and_a_changed_file_is_taken_over(kafka, tmp_path):
    settings = settings_for(kafka, f"words-{time.time_ns()}", partitions=4)
    async with open_world(settings, tmp_path) as world:
        workers = [world.worker(name) for name in "ab"]
        for worker in workers:
            await worker.start()

        async def everywhere(key_id: str, state: str) -> bool:
            return all([(await key_of(worker, key_id)).get("state") == state for worker in workers])

        await keys_command(world, "disable", "key-002")
        await eventually(lambda: everywhere("key-002", "disabled"), 5)
        await keys_command(world, "pause")
        await eventually(lambda: everywhere("key-001", "disabled"), 5)
        await keys_command(world, "resume")
        await eventually(lambda: everywhere("key-001", "ready"), 5)
        assert await everywhere("key-002", "disabled")
        await command_line(world, "shed", "--below", "45")
        await eventually(lambda: shed_below(workers, 45), 5)
        for worker in workers:
            await worker.terminate()
        workers[:] = [world.worker("after")]
        await workers[0].start()
        await eventually(lambda: everywhere("key-002", "disabled"), 10)
        await eventually(lambda: shed_below(workers, 45), 10)
        await command_line(world, "shed", "--off")
        await eventually(lambda: shed_below(workers, 0), 5)
        await keys_command(world, "enable", "key-002")
        await eventually(lambda: everywhere("key-002", "ready"), 5)

        file = tmp_path / "config" / "api_keys.yaml"
        content = yaml.safe_load(file.read_text())
        content["keys"] = [content["keys"][0], {**content["keys"][1], "id": "key-new"}]
        file.write_text(yaml.safe_dump(content))
        await eventually(lambda: everywhere("key-new", "ready"), 10)
        assert not [await key_of(worker, "key-003") for worker in workers if await key_of(worker, "key-003")]
