"""Owners of a table's partition on real Kafka: a former one's late row is left out, the right one written behind it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from tests.faults.harness import World, open_world
from tests.faults.harness.audit import records
from tests.integration.test_streaming import settings_for, three_groups
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.fencing import MARKER, Epoch
from vision_stream.messages import encode

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="module")]
CAMERA = b"cam-owned"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(kafka, tmp_path_factory) -> AsyncIterator[World]:
    settings = settings_for(kafka, f"ownership-{secrets.token_hex(4)}", partitions=1)
    async with open_world(settings, tmp_path_factory.mktemp("ownership"), topics_made=False) as opened:
        yield opened


async def test_a_planted_late_row_is_left_out_and_the_right_one_is_written_again(world: World):
    changelog = topics.changelog(world.settings, "camera_state")
    async with AIOKafkaProducer(bootstrap_servers=",".join(world.settings.kafka.bootstrap_servers)) as producer:
        await after_a_worker(world, "a")
        first = (await written(changelog, world))[0]
        assert (first.key, number(first)) == (MARKER, 1)
        detection = encode(three_groups(CAMERA.decode()))
        await producer.send_and_wait(world.settings.kafka.topics.detection_results.name, detection, key=CAMERA)
        await after_a_worker(world, "b", rows=1)
        right = [row for row in await written(changelog, world) if row.key == CAMERA][-1]
        assert number(right) == 2

        await producer.send_and_wait(changelog, b"{}", key=CAMERA, headers=Epoch(1, 99).headers())
        await after_a_worker(world, "c", rows=3)

    last = [row for row in await written(changelog, world) if row.key == CAMERA][-1]
    assert last.value == right.value
    assert number(last) == 3


async def after_a_worker(world: World, name: str, *, rows: int = 0) -> None:
    """A worker came, there are so many rows of the camera, and it went."""
    worker = world.worker(name, ALGO_MONITORING_PROMETHEUS_PORT="19230")
    await worker.start()

    async def there() -> bool:
        changelog = topics.changelog(world.settings, "camera_state")
        return len([row for row in await written(changelog, world) if row.key == CAMERA]) >= rows

    await eventually(there, 20, every_s=0.5)
    assert await worker.terminate() == 0


def number(row: Any) -> int | None:
    epoch = Epoch.of(row.headers)
    return epoch and epoch.number


async def written(changelog: str, world: World) -> list[Any]:
    return await records(world.settings, changelog, 1)
