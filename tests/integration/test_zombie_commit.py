"""What a worker commits after its group has given its partitions to another: refused by the broker, whatever it thinks.

On this rests that a zombie cannot move an offset back, or past what its successor has yet to do (decision 7).
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.group import LeaveGroupRequest

from tests.waiting import eventually
from vision_stream import topics
from vision_stream.settings import Settings

pytestmark = pytest.mark.kafka


def member(settings: Settings) -> AIOKafkaConsumer:
    """Of the workers' group, as Faust's consumer is one; it hears of a rebalance a minute late."""
    return AIOKafkaConsumer(
        settings.kafka.topics.detection_results.name,
        bootstrap_servers=",".join(settings.kafka.bootstrap_servers),
        group_id=settings.kafka.app_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=60_000,
        heartbeat_interval_ms=59_000,
    )


async def expire(zombie: AIOKafkaConsumer) -> None:
    """What the broker does when a session is over: the member is out, and is not told."""
    coordinator: Any = zombie._coordinator
    await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))


async def test_a_zombie_s_commit_is_refused_and_its_successor_s_stands(kafka_settings):
    settings = kafka_settings()
    await topics.ensure(settings)
    partition = TopicPartition(settings.kafka.topics.detection_results.name, 0)
    async with AsyncExitStack() as stack:
        zombie, successor = member(settings), member(settings)
        stack.push_async_callback(zombie.stop)  # the last to go: it joins again, and would wait for the other
        stack.push_async_callback(successor.stop)
        await zombie.start()
        await eventually(lambda: partition in zombie.assignment(), 20)
        await zombie.commit({partition: 3})
        await expire(zombie)
        await successor.start()
        await eventually(lambda: partition in successor.assignment(), 20)
        await successor.commit({partition: 10})

        with pytest.raises(CommitFailedError):
            await zombie.commit({partition: 4})

        assert await successor.committed(partition) == 10
