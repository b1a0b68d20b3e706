"""Committed offsets against the ends, over all consumer groups of a run."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.waiting import eventually
from vision_stream import topics
from vision_stream.settings import Settings

INPUTS = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")


async def committed(
    settings: Settings, within_s: float = 10.0, *, inputs: Iterable[str] = INPUTS, groups: Iterable[str] = ()
) -> dict[str, int]:
    """Messages not yet committed, by partition; empty when all are, for which it waits ``within_s`` seconds.

    Args:
        groups: ids of the consumer groups whose workers share the inputs; none: the one of these settings.
    """
    left: dict[str, int] = {"not asked yet": 1}
    groups = tuple(groups) or (topics.app_id(settings),)
    places = _places(settings, inputs)
    servers = ",".join(settings.kafka.bootstrap_servers)
    admin, consumer = AIOKafkaAdminClient(bootstrap_servers=servers), AIOKafkaConsumer(bootstrap_servers=servers)

    async def none() -> bool:
        nonlocal left
        try:
            left = await _left(admin, consumer, groups, places)
        except KafkaError as error:  # a broker that has just come back
            left = {repr(error): 1}
        return not left

    await admin.start()
    await consumer.start()
    try:
        with suppress(AssertionError):
            await eventually(none, within_s, every_s=0.2)
    finally:
        await consumer.stop()
        await admin.close()
    return left


def _places(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    inputs = [getattr(settings.kafka.topics, name) for name in names]
    return [TopicPartition(topic.name, n) for topic in inputs for n in range(topic.partitions)]


async def _left(
    admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, groups: Iterable[str], places: list[TopicPartition]
) -> dict[str, int]:
    done: dict[TopicPartition, int] = {}
    for group in groups:
        for place, at in (await admin.list_consumer_group_offsets(group)).items():
            done[place] = max(done.get(place, 0), at.offset)
    ends = await consumer.end_offsets(places)
    return {f"{p.topic}-{p.partition}": n for p in places if (n := ends[p] - done.get(p, 0))}
