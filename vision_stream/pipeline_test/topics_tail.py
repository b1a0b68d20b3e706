"""Reads the topics of all stages without a consumer group: nobody's offsets move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from vision_stream.background import Background
from vision_stream.errors import VisionStreamError
from vision_stream.kafka_client import client_options, unreachable
from vision_stream.pipeline_test.seen import STAGES, Seen
from vision_stream.settings import KafkaSettings

WAIT_MS = 200
MAX_FETCH = 4 << 20


@asynccontextmanager
async def tailing(kafka: KafkaSettings, seen: Seen, *, since: float | None = None) -> AsyncIterator[None]:
    """Note in ``seen`` what arrives while the block runs.

    Args:
        since: epoch seconds; None: from now on.
    Raises:
        DependencyError: Kafka does not answer.
        VisionStreamError: a topic is missing.
    """
    consumer = AIOKafkaConsumer(**client_options(kafka), group_id=None, max_partition_fetch_bytes=MAX_FETCH)
    background = Background()
    try:
        async with connecting(kafka):
            await consumer.start()
            stages = await _assign(consumer, kafka)
            await _seek(consumer, since)
        background.spawn(_follow(consumer, stages, seen), name="tail")
        yield
    finally:
        await background.close()
        await consumer.stop()


@asynccontextmanager
async def connecting(kafka: KafkaSettings) -> AsyncIterator[None]:
    """Raise what a broker that does not answer makes a client raise as our DependencyError."""
    try:
        async with asyncio.timeout(kafka.connect_timeout_s):
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise unreachable(kafka, error) from error


async def _assign(consumer: AIOKafkaConsumer, kafka: KafkaSettings) -> dict[str, str]:
    """Take all partitions; returns our name by topic."""
    stages = {getattr(kafka.topics, stage).name: stage for stage in STAGES}
    cluster = await consumer._client.fetch_all_metadata()  # no public call asks for topics that are not assigned yet
    there = cluster.topics()
    if missing := [topic for topic in stages if topic not in there]:
        raise VisionStreamError(
            f"no topic {', '.join(missing)} on this Kafka", remedy="`python scripts/init_kafka_topics.py`"
        )
    consumer.assign([TopicPartition(t, p) for t in stages for p in cluster.partitions_for_topic(t) or ()])
    return stages


async def _seek(consumer: AIOKafkaConsumer, since: float | None) -> None:
    if since is None:
        await consumer.seek_to_end()
        return
    places = consumer.assignment()
    found = await consumer.offsets_for_times({place: int(since * 1000) for place in places})
    ends = await consumer.end_offsets(list(places))
    for place in places:
        at = found.get(place)
        consumer.seek(place, at.offset if at is not None else ends[place])


async def _follow(consumer: AIOKafkaConsumer, stages: dict[str, str], seen: Seen) -> None:
    while True:
        batches = await consumer.getmany(timeout_ms=WAIT_MS)
        now = time.time()
        for place, records in batches.items():
            for record in records:
                seen.note(stages[place.topic], record.value, now)
