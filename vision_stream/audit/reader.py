"""Reads the facts of a run from Kafka and Redis. Without a consumer group: nobody's offsets move."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from vision_stream import topics
from vision_stream.audit.facts import INPUTS, READ, TABLES, Entry, Facts, Place
from vision_stream.errors import MessageError
from vision_stream.kafka_client import client_options, unreachable
from vision_stream.messages import Alert, CameraMessage, decode
from vision_stream.settings import ROLES, Settings
from vision_stream.simulators.llm.calls import Call
from vision_stream.stores.open import open_stores

TOPICS = (*READ, "dead_letters")
DATED = (*INPUTS, "camera_state", "pending_assessments")  # what is read from --since on
POLL_RECORDS = 5000
MAX_FETCH = 4 << 20  # bytes a partition and fetch; a dead letter may be that large
ALERT_ROWS = 1000  # of one camera


async def read(
    settings: Settings, *, since: float = 0.0, calls: tuple[Call, ...] | None = None, within_s: float = 300.0
) -> Facts:
    """Read everything up to the present ends.

    Args:
        since: epoch seconds; key_cooldowns, which is small, is read whole.
        calls: the LLM's call log, which is no topic.
    Raises:
        DependencyError: the broker does not answer, or reading took longer than ``within_s`` seconds.
    """
    try:
        async with asyncio.timeout(within_s):
            committed = await _committed(settings)
            async with _consumer(settings) as consumer:
                facts = await _read(consumer, settings, since, committed, calls)
    except (KafkaError, TimeoutError, OSError) as error:
        raise unreachable(settings.kafka, error) from error
    if not settings.redis_enabled:
        return facts
    return replace(facts, alert_rows=await _rows(settings, facts))


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **client_options(settings.kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_FETCH,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer,
    settings: Settings,
    since: float,
    committed: Mapping[Place, int],
    calls: tuple[Call, ...] | None,
) -> Facts:
    names = await _names(consumer, settings)
    places = {name: await _partitions(consumer, topic) for name, topic in names.items()}
    everywhere = [place for found in places.values() for place in found]
    if not everywhere:
        return Facts(topics={}, read_at=time.time(), committed=dict(committed), calls=calls)
    consumer.assign(everywhere)
    ends: dict[TopicPartition, int] = {}
    for name in TOPICS:  # one after the other: effects before their causes
        ends |= await consumer.end_offsets(places.get(name, []))
    starts, cut = await _starts(consumer, places, since)
    entries = await _entries(consumer, starts, ends)
    read_at = time.time()
    return Facts(
        topics={name: tuple(e for place in found for e in entries[place]) for name, found in places.items()},
        read_at=read_at,
        begins={
            name: begin for name, found in places.items() if (begin := _begin(found, entries, cut, since, read_at))
        },
        committed=dict(committed),
        ends={(name, p.partition): ends[p] for name, found in places.items() if name in INPUTS for p in found},
        calls=calls,
    )


async def _names(consumer: AIOKafkaConsumer, settings: Settings) -> dict[str, str]:
    """The topics that exist, by our names; a table's changelog is named after the roles of the worker that has it."""
    there = await consumer.topics()
    found = {name: topic for name in TOPICS if name not in TABLES and (topic := _topic(settings, name)) in there}
    for table in TABLES:
        named = [name for other in _as_any_role(settings) if (name := topics.changelog(other, table)) in there]
        # One that is empty was made for workers of other roles, which have never run.
        used = [name for name in named if await _has_records(consumer, name)]
        if named:
            found[table] = (used or named)[0]
    return found


def _topic(settings: Settings, name: str) -> str:
    return getattr(settings.kafka.topics, name).name


async def _has_records(consumer: AIOKafkaConsumer, topic: str) -> bool:
    return any((await consumer.end_offsets(await _partitions(consumer, topic))).values())


def _as_any_role(settings: Settings) -> list[Settings]:
    """The settings as workers of other roles have them, these first."""
    roles = [r for n in range(len(ROLES), 0, -1) for r in itertools.combinations(ROLES, n)]
    return [settings, *(settings.model_copy(update={"stream_roles": r}) for r in roles)]


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    cluster = await consumer._client.fetch_all_metadata()
    return [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]


async def _starts(
    consumer: AIOKafkaConsumer, places: Mapping[str, list[TopicPartition]], since: float
) -> tuple[dict[TopicPartition, int], set[TopicPartition]]:
    """Where to start reading, and the partitions of which something before that is not read."""
    starts = dict(await consumer.beginning_offsets([p for found in places.values() for p in found]))
    dated = [p for name, found in places.items() if name in DATED for p in found]
    if since and dated:
        at = await consumer.offsets_for_times({p: int(since * 1000) for p in dated})
        ends = await consumer.end_offsets(dated)
        starts |= {p: found.offset if (found := at[p]) else ends[p] for p in dated}
    return starts, {place for place, start in starts.items() if start > 0}


async def _entries(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, list[Entry]]:
    found: dict[TopicPartition, list[Entry]] = {place: [] for place in starts}
    for place, start in starts.items():
        consumer.seek(place, start)
    left = {place for place, start in starts.items() if start < ends[place]}
    consumer.pause(*(found.keys() - left))
    while left:
        batches = await consumer.getmany(*left, timeout_ms=200, max_records=POLL_RECORDS)
        for place, records in batches.items():
            found[place] += [
                Entry(r.partition, r.offset, r.timestamp / 1000, r.key, r.value, tuple(r.headers))
                for r in records
                if r.offset < ends[place]
            ]
        done = {place for place in left if await consumer.position(place) >= ends[place]}
        if done:
            consumer.pause(*done)
            left -= done
    return found


def _begin(
    places: Iterable[TopicPartition],
    entries: Mapping[TopicPartition, list[Entry]],
    cut: set[TopicPartition],
    since: float,
    read_at: float,
) -> float:
    """From when the topic is complete; 0.0: from its start."""
    return max((since or (entries[p][0].timestamp if entries[p] else read_at) for p in places if p in cut), default=0.0)


async def _committed(settings: Settings) -> dict[Place, int]:
    """The next offset of each partition, of whatever groups this app's workers form."""
    ours = {getattr(settings.kafka.topics, name).name: name for name in INPUTS}
    found: dict[Place, int] = {}
    admin = AIOKafkaAdminClient(**client_options(settings.kafka))
    await admin.start()
    try:
        there = {group[0] for group in await admin.list_consumer_groups()}
        for group in {topics.app_id(other) for other in _as_any_role(settings)} & there:
            for place, at in (await admin.list_consumer_group_offsets(group)).items():
                if place.topic in ours:
                    key = ours[place.topic], place.partition
                    found[key] = max(found.get(key, 0), at.offset)
    finally:
        await admin.close()
    return found


async def _rows(settings: Settings, facts: Facts) -> dict[str, tuple[Alert, ...]]:
    cameras = set()
    for entry in facts.topics.get("camera_assessments", ()):
        try:
            cameras.add(decode(entry.value, CameraMessage).camera_id)
        except MessageError:
            continue
    stores = open_stores(settings)
    try:
        return {camera: tuple(await stores.cache.alerts(camera, limit=ALERT_ROWS)) for camera in sorted(cameras)}
    finally:
        await stores.close()
