"""Reads three topics to the end of time and tells the hub, without a consumer group: every gateway sees everything.

    detection-results    from the end on: an old box on a live picture is worse than none
    camera-assessments   from a few minutes back on, so that the latest risks and alerts are there without Redis
    camera-status        from the beginning: compacted, one row a camera

A broker that is away, also at the start, is waited for; one log line says that it is lost, one that it is back. What
was missed of the assessments is then read from where the tail stood, and the hub knows what it had already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from vision_stream import metrics, tracing
from vision_stream.errors import MessageError
from vision_stream.kafka_consumers import groupless, stop
from vision_stream.messages import CameraMessage, CameraStatus, Detection, decode
from vision_stream.settings import Settings
from workers.audience import Audience

WARM_S = 300.0  # of camera-assessments; as long as camera:{id}:latest lives
POLL_MS = 250
POLL_RECORDS = 500
PROBE_S = 2.0  # between two looks at the broker; aiokafka itself does not say that it is gone
REQUEST_S = 5.0
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Source:
    topic: str
    kind: type
    tell: Callable[..., Awaitable[None]]


class NotThere(Exception):
    """The broker does not answer, or the topics do not exist yet."""


class KafkaTail:
    def __init__(self, settings: Settings, hub: Audience, *, warm_s: float = WARM_S, probe_s: float = PROBE_S) -> None:
        topics = settings.kafka.topics
        self._kafka = settings.kafka
        self._servers = ",".join(settings.kafka.bootstrap_servers)
        self._detections = Source(topics.detection_results.name, Detection, hub.detection)
        self._assessments = Source(topics.camera_assessments.name, CameraMessage, hub.assessment)  # type: ignore[arg-type]
        self._statuses = Source(topics.camera_status.name, CameraStatus, hub.status)
        self._sources = {s.topic: s for s in (self._detections, self._assessments, self._statuses)}
        self._positions: dict[TopicPartition, int] = {}  # what to read next, over a loss of the broker
        self._warm_s = warm_s
        self._probe_s = probe_s
        self._lost: str | None = "not connected yet"
        self._said = False

    @property
    def lost(self) -> str | None:
        """Why nothing is read; None while the tail reads."""
        return self._lost

    async def run(self) -> None:
        """Read until cancelled."""
        retry_s = FIRST_RETRY_S
        while True:
            reason = await self._attempt()
            retry_s = FIRST_RETRY_S if self._lost is None else min(retry_s * 2, MAX_RETRY_S)
            self._say_lost(reason)
            await asyncio.sleep(retry_s)

    async def _attempt(self) -> str:
        """Read until Kafka is lost; returns why it is."""
        reason = "ended"
        try:
            await self._follow()
        except* (KafkaError, NotThere, OSError, TimeoutError) as failures:
            reason = _first(failures)
        except* Exception as failures:
            _log.exception("the Kafka tail failed, trying again")
            reason = _first(failures)
        return reason

    async def _follow(self) -> None:
        consumer = groupless(self._kafka, request_s=REQUEST_S)
        try:
            async with asyncio.timeout(2 * REQUEST_S):
                await consumer.start()
                partitions = await self._partitions(consumer)
                await self._place(consumer, partitions)
            self._say_back()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(consumer))
                group.create_task(self._probe(consumer, partitions))
        finally:
            await stop(consumer, within_s=REQUEST_S)

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        await consumer.topics()  # asks the broker
        consumer._client.set_topics(self._sources)
        await consumer._client.force_metadata_update()
        found = []
        for topic in self._sources:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise NotThere(f"topic {topic} does not exist yet")
            found += [TopicPartition(topic, number) for number in sorted(numbers)]
        return found

    async def _place(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Assign ``partitions`` and seek each to where its source begins."""
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        since = int((time.time() - self._warm_s) * 1000)
        warm = await consumer.offsets_for_times({p: since for p in partitions if p.topic == self._assessments.topic})
        for partition in partitions:
            begin, end = begins[partition], ends[partition]
            kept = self._positions.get(partition)
            if partition.topic == self._detections.topic:
                start = end
            elif kept is not None and begin <= kept <= end:
                start = kept
            elif partition.topic == self._statuses.topic:
                start = begin
            else:
                start = found.offset if (found := warm.get(partition)) is not None else end
            consumer.seek(partition, start)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            for partition, records in batches.items():
                for record in records:
                    await self._tell(record)
                self._positions[partition] = records[-1].offset + 1
            await asyncio.sleep(0)  # a long backlog leaves the loop to the sockets

    async def _tell(self, record: ConsumerRecord) -> None:
        with tracing.processing(record.topic, record.partition, record.offset, record.headers):
            await self._tell_hub(record)

    async def _tell_hub(self, record: ConsumerRecord) -> None:
        source = self._sources[record.topic]
        try:
            message = decode(record.value, source.kind)
        except MessageError as error:
            tracing.failed(error)
            metrics.tail_skipped.labels(record.topic).inc()
            return
        await source.tell(message)

    async def _probe(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Ends with NotThere when the broker is gone or the partitions are no longer these."""
        while True:
            await asyncio.sleep(self._probe_s)
            async with asyncio.timeout(2 * REQUEST_S):
                cluster = await consumer._client.fetch_all_metadata()
            for topic in self._sources:
                now = cluster.partitions_for_topic(topic) or set()
                if now != {p.partition for p in partitions if p.topic == topic}:
                    raise NotThere(f"the partitions of {topic} have changed")

    def _say_lost(self, reason: str) -> None:
        if self._lost is None or not self._said:
            _log.warning("Kafka is away, waiting for it", brokers=self._servers, reason=reason, error_id="VS-101")
            self._said = True
        self._lost = reason
        metrics.tail_connected.set(0)

    def _say_back(self) -> None:
        _log.info("Kafka is back" if self._said else "reading from Kafka", brokers=self._servers)
        self._said = False
        self._lost = None
        metrics.tail_connected.set(1)


def _first(failures: BaseExceptionGroup) -> str:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
