"""Reads, sends again and deletes dead letters. Without a consumer group: nobody's offsets move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from vision_stream.dead_letters.letters import REPLAYED_FROM, Kept
from vision_stream.errors import MessageError
from vision_stream.kafka_client import client_options, unreachable
from vision_stream.messages import DeadLetter, decode
from vision_stream.settings import Settings
from vision_stream.topics import MIB

WITHIN_S = 120.0  # all of one command
FETCH = 4 * MIB  # bytes a partition: a letter may be that large
CLOCKS_S = 60.0  # by which the clocks of hosts may differ


class Desk:
    """``async with Desk.open(settings) as desk``.

    Raises:
        DependencyError: the broker does not answer, or it all took longer than ``WITHIN_S``.
    """

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self._settings, self._consumer = settings, consumer
        self.unreadable = 0  # letters that are none, as of a newer version

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        consumer = AIOKafkaConsumer(**client_options(settings.kafka), group_id=None, max_partition_fetch_bytes=FETCH)
        try:
            async with asyncio.timeout(WITHIN_S):
                await consumer.start()
                yield cls(settings, consumer)
        except (KafkaError, TimeoutError, OSError) as error:
            raise unreachable(settings.kafka, error) from error
        finally:
            await consumer.stop()

    async def letters(self) -> list[Kept]:
        """All of them, the oldest first."""
        found = []
        for record in await self._records(self._topic, since=0.0):
            try:
                found.append(Kept(record.partition, record.offset, decode(record.value, DeadLetter)))
            except MessageError:
                self.unreadable += 1
        return sorted(found, key=lambda kept: kept.letter.at)

    async def replayed(self, letters: Iterable[Kept]) -> tuple[set[str], set[str]]:
        """Ids of letters that were sent again, and the places where they now are."""
        oldest: dict[str, float] = {}
        for kept in letters:
            oldest[kept.letter.topic] = min(oldest.get(kept.letter.topic, kept.letter.at), kept.letter.at)
        ids, places = set(), set()
        for topic, at in oldest.items():
            for record in await self._records(topic, since=at - CLOCKS_S):
                for name, value in record.headers:
                    if name == REPLAYED_FROM:
                        ids.add(value.decode(errors="replace"))
                        places.add(f"{topic}-{record.partition}@{record.offset}")
        return ids, places

    async def send(self, letters: Sequence[Kept]) -> int:
        """Send them to where they came from, in order; returns how many the brokers have."""
        producer = AIOKafkaProducer(
            **client_options(self._settings.kafka), acks="all", enable_idempotence=True, max_request_size=FETCH
        )
        await producer.start()
        try:
            for kept in letters:
                headers = [("content-type", b"application/json"), (REPLAYED_FROM, kept.id.encode())]
                letter = kept.letter
                await producer.send_and_wait(letter.topic, letter.value, key=letter.key, headers=headers)
            return len(letters)
        finally:
            await producer.stop()

    async def purge(self, before: float | None) -> int:
        """Delete the letters from before ``before`` (epoch seconds; None: all); returns how many."""
        places = await self._places(self._topic)
        begins, bounds = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        if before is not None:
            dated = await self._consumer.offsets_for_times({place: int(before * 1000) for place in places})
            bounds |= {place: found.offset for place, found in dated.items() if found}
        gone = {place: bound for place, bound in bounds.items() if bound > begins[place]}
        if gone:
            admin = AIOKafkaAdminClient(**client_options(self._settings.kafka))
            await admin.start()
            try:
                await admin.delete_records({place: RecordsToDelete(bound) for place, bound in gone.items()})
            finally:
                await admin.close()
        return sum(bound - begins[place] for place, bound in gone.items())

    @property
    def _topic(self) -> str:
        return self._settings.kafka.topics.dead_letters.name

    async def _places(self, topic: str) -> list[TopicPartition]:
        cluster = await self._consumer._client.fetch_all_metadata()
        return [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]

    async def _records(self, topic: str, *, since: float) -> list[Any]:
        """All records of a topic from ``since`` (epoch seconds) on to its present ends."""
        places = await self._places(topic)
        if not places:
            return []
        consumer = self._consumer
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        starts = dict(await consumer.beginning_offsets(places))
        if since > 0:
            dated = await consumer.offsets_for_times({place: int(since * 1000) for place in places})
            starts |= {place: found.offset if found else ends[place] for place, found in dated.items()}
        for place in places:
            consumer.seek(place, starts[place])
        found: list[Any] = []
        while [place for place in places if await consumer.position(place) < ends[place]]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found
