"""The topics of a broker as they are, and the schema versions of their newest messages. Without a consumer group."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from vision_stream.kafka_client import client_options, unreachable
from vision_stream.settings import KafkaSettings, Settings
from vision_stream.topic_admin import look, settings_of
from vision_stream.topics import specs

READ_WITHIN_S = 5.0  # the newest messages; a partition that gives none by then is left out


class Topic(NamedTuple):
    partitions: int
    config: Mapping[str, str]


async def there(settings: Settings) -> dict[str, Topic]:
    """Those of our topics that the broker has.

    Raises:
        DependencyError: Kafka does not answer.
    """
    wanted = specs(settings)
    async with _connected(settings.kafka):
        seen = await look(wanted, settings.kafka)
        configs = await settings_of([spec.name for spec in wanted if spec.name in seen], settings.kafka)
    return {name: Topic(topic.partitions, configs[name]) for name, topic in seen.items()}


async def newest(settings: Settings, there: Mapping[str, Topic]) -> dict[str, frozenset[int]]:
    """Schema versions by topic, from the last message of each partition; 0 where one has none. Tables have none.

    Raises:
        DependencyError: Kafka does not answer.
    """
    topics = settings.kafka.topics
    names = {getattr(topics, field).name for field in type(topics).model_fields} & there.keys()
    if not names:
        return {}
    consumer = AIOKafkaConsumer(**client_options(settings.kafka), group_id=None)
    try:
        async with _connected(settings.kafka):
            await consumer.start()
            await _seek_to_the_last(consumer, [TopicPartition(n, p) for n in names for p in range(there[n].partitions)])
        return await _versions(consumer)
    finally:
        await consumer.stop()


@asynccontextmanager
async def _connected(kafka: KafkaSettings) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(kafka.connect_timeout_s):
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise unreachable(kafka, error) from error


async def _seek_to_the_last(consumer: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    consumer.assign([place for place in places if ends[place] > begins[place]])
    for place in consumer.assignment():
        consumer.seek(place, ends[place] - 1)


async def _versions(consumer: AIOKafkaConsumer) -> dict[str, frozenset[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    missing = set(consumer.assignment())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READ_WITHIN_S):
            while missing:
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[place.topic].add(_version(records[-1].value))
                    missing.discard(place)
    return {topic: frozenset(versions) for topic, versions in found.items()}


class _Versioned(msgspec.Struct):
    schema_version: int = 0


def _version(payload: bytes | None) -> int:
    try:
        return msgspec.json.decode(payload or b"", type=_Versioned).schema_version
    except msgspec.DecodeError:
        return 0
