"""A worker that gets stuck says where, ends with a code of its own, and the next one finishes its work."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.builders import a_detection, a_group, an_object
from tests.faults.harness import World, committed, open_world
from vision_stream import topics
from vision_stream.errors import STUCK, ConfigError
from vision_stream.messages import encode
from vision_stream.settings import Settings

pytestmark = pytest.mark.kafka

AFTER_S = 5.0
WAYS = {"handler": "wedged", "reader": "stalled", "recovery": "recovery", "loop": "loop"}


async def send(settings: Settings, cameras: int) -> None:
    objects = an_object(1, "car"), an_object(2, "person")
    async with AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers)) as producer:
        for n in range(cameras):
            detection = a_detection(
                a_group(0, *objects), camera_id=f"cam-{n}", objects=objects, captured_at=time.time()
            )
            topic = settings.kafka.topics.detection_results.name
            await producer.send_and_wait(topic, encode(detection), key=detection.camera_id.encode())


async def ends_stuck(world: World, how: str) -> list[dict[str, object]]:
    """The worker's end; returns what it logged as critical."""
    stuck = world.worker("stuck", app="tests.stuck", STUCK=how, ALGO_MONITORING_WATCHDOG_AFTER_S=str(AFTER_S))
    await stuck.start(until_ready=how != "recovery")
    for _ in range(2):  # the second is what a reader that has ended does not read
        await send(world.settings, cameras=8)
        await asyncio.sleep(0.5 if how == "reader" else 0)
    assert await stuck.process.wait(within_s=60) == STUCK, stuck.process.tail(40)
    lines = [line for line in stuck.log.read_text().splitlines() if '"critical"' in line]
    return [json.loads(line) for line in lines]


async def test_a_stuck_worker_says_where_and_ends_and_the_next_one_finishes(kafka_settings, app_id, tmp_path: Path):
    """All ways at once, each with topics of its own: most of the time is waiting."""

    async def one(how: str) -> None:
        settings = kafka_settings(app_id=f"{app_id}-{how}")
        async with open_world(settings, tmp_path / how) as world:
            verdict, *stacks = await ends_stuck(world, how)
            assert verdict["event"] == "no progress: the worker ends"
            assert verdict["kind"] == WAYS[how]
            assert "MainThread" in {stack.get("thread") for stack in stacks}
            if how in ("handler", "loop"):
                assert "_deliver_and_hang" in "".join(str(stack["stack"]) for stack in stacks)

            await world.worker("next").start()
            left = await committed(settings, within_s=30)
            assert not left, world.logs()

    async with asyncio.TaskGroup() as group:
        for how in WAYS:
            group.create_task(one(how))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
async def test_a_worker_that_was_suspended_or_lost_its_broker_goes_on(private_kafka, kafka_settings, tmp_path: Path):
    settings = kafka_settings()
    async with open_world(settings, tmp_path) as world:
        worker = world.worker("a", ALGO_MONITORING_WATCHDOG_AFTER_S=str(AFTER_S))
        await worker.start()
        await send(settings, cameras=4)
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(2 * AFTER_S)
        worker.send(signal.SIGCONT)

        await send(settings, cameras=4)
        private_kafka.kill()
        await asyncio.sleep(2 * AFTER_S)
        await private_kafka.restart()

        left = await committed(settings, within_s=60)
        assert not left, world.logs()
        assert worker.process.running
        assert "no progress" not in worker.log.read_text()


async def test_a_worker_ends_with_the_reason_when_partitions_are_raised_behind_it(kafka_settings, tmp_path: Path):
    settings = kafka_settings()
    async with open_world(settings, tmp_path) as world:
        worker = world.worker("a", ALGO_MONITORING_WATCHDOG_AFTER_S=str(AFTER_S))
        await worker.start()
        await topics.ensure(kafka_settings(partitions=8), raise_partitions=True)

        assert await worker.process.wait(within_s=60) == ConfigError.exit_code, worker.process.tail(40)
        (said,) = (json.loads(line) for line in worker.log.read_text().splitlines() if '"critical"' in line)
        assert said["error_id"] == "VS-104"
        assert f"{settings.kafka.topics.assessment_tasks.name!r} has 8, not 4" in said["what"]
        assert "--raise-partitions" in said["remedy"]
