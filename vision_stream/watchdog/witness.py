"""The brokers' side: where the partitions end, and whether work could get done at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from vision_stream import topics
from vision_stream.kafka_client import client_options
from vision_stream.settings import MEETING, Settings

ASK_WITHIN_S = 5.0


class Witness:
    """Answers from one thread's event loop; connects when it is first asked, and again after each failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._options = settings, client_options(settings.kafka)
        self._topics = [getattr(settings.kafka.topics, name).name for name in MEETING]
        self._copies = topics.copies_in_sync(settings)
        self.counts: Mapping[str, int] = {}  # partitions by topic, as last told; of those that are there
        self._stack = AsyncExitStack()
        self._clients: tuple[AIOKafkaConsumer, AIOKafkaAdminClient] | None = None

    async def ask(self, partitions: Iterable[TP]) -> tuple[Mapping[TP, int], str | None]:
        """The partitions' ends, and why the brokers cannot be worked with now; None: they can."""
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                consumer, admin = self._clients or await self._connect()
                await admin.list_consumer_group_offsets(topics.app_id(self._settings))  # its coordinator answers
                described = await admin.describe_topics(self._topics)
                thin = _thin(described, self._copies)
                self.counts = {t["topic"]: len(t["partitions"]) for t in described if t["partitions"]}
                ends = await consumer.end_offsets([TopicPartition(*tp) for tp in partitions])
        except Exception as error:  # whatever it is, they are no witness
            await self.close()
            return {}, f"Kafka does not answer: {type(error).__name__}"
        return {TP(*place): end for place, end in ends.items()}, thin

    async def _connect(self) -> tuple[AIOKafkaConsumer, AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._options, request_timeout_ms=int(ASK_WITHIN_S * 1000))
        self._stack.push_async_callback(admin.close)
        await admin.start()
        consumer = AIOKafkaConsumer(
            **self._options, group_id=None, enable_auto_commit=False, request_timeout_ms=int(ASK_WITHIN_S * 1000)
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        self._clients = consumer, admin
        return self._clients

    async def close(self) -> None:
        self._clients, stack, self._stack = None, self._stack, AsyncExitStack()
        with suppress(Exception):  # of a broken connection; what counts is that it is gone
            async with asyncio.timeout(ASK_WITHIN_S):
                await stack.aclose()


def _thin(described: Iterable[Mapping[str, Any]], copies: int) -> str | None:
    """Where too few replicas are in sync, brokers answer every question, and refuse every write."""
    for topic in described:
        for partition in topic.get("partitions", ()):
            if len(partition["isr"]) < copies:
                place = f"{topic['topic']}-{partition['partition']}"
                return f"Kafka refuses writes: {len(partition['isr'])} of {copies} replicas of {place} in sync"
    return None
