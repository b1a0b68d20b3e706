"""Reads the topics along into a ledger, and says how far the workers are behind."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.soak.ledger import Ledger
from vision_stream import topics
from vision_stream.background import Background
from vision_stream.messages import (
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    GroupAssessment,
    Overdue,
    decode,
)
from vision_stream.settings import Settings

INPUTS: tuple[str, ...] = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")


class _Id(msgspec.Struct):
    """A detection, of which only the id is wanted."""

    detection_id: str


class Tail:
    """``async with Tail(settings, ledger) as tail``."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._ledger = ledger
        self._group = topics.app_id(settings)
        self._names = {getattr(settings.kafka.topics, name).name: name for name in (*INPUTS, "dead_letters")}
        self._places = [TopicPartition(topic, n) for topic, name in self._names.items()
                        for n in range(getattr(settings.kafka.topics, name).partitions)]  # fmt: skip
        servers = ",".join(settings.kafka.bootstrap_servers)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest")
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        self._work = Background()

    async def __aenter__(self) -> Tail:
        await self._consumer.start()
        await self._admin.start()
        self._consumer.assign(self._places)
        await self._consumer.seek_to_beginning(*self._places)
        self._work.spawn(self._read(), name="tail")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._work.close()
        await self._admin.close()
        await self._consumer.stop()

    @property
    def failures(self) -> list[BaseException]:
        """A tail that has failed audits nothing more."""
        return self._work.failures

    async def lag(self) -> dict[str, int] | None:
        """Messages that are not committed, by our topic names; None while the broker does not say."""
        with suppress(KafkaError):
            done = await self._admin.list_consumer_group_offsets(self._group)
            places = [place for place in self._places if self._names[place.topic] in INPUTS]
            ends = await self._consumer.end_offsets(places)
            left: dict[str, int] = dict.fromkeys(INPUTS, 0)
            for place in places:
                left[self._names[place.topic]] += ends[place] - max(done[place].offset if place in done else 0, 0)
            return left
        return None

    async def _read(self) -> None:
        async for record in self._consumer:
            self._take(self._names[record.topic], record.value, time.time())

    def _take(self, name: str, value: Any, now: float) -> None:
        match name:
            case "detection_results":
                self._ledger.detection(decode(value, _Id).detection_id)
            case "assessment_tasks":
                self._ledger.task(decode(value, AssessmentTask))
            case "risk_assessment_results":
                outcome = decode(value, GroupAssessment | Overdue)
                if not isinstance(outcome, Overdue):
                    self._ledger.outcome(outcome, now)
            case "camera_assessments":
                message = decode(value, CameraMessage)
                if isinstance(message, CameraAssessment):
                    self._ledger.join(message)
                else:
                    self._ledger.counts["alert states"] += 1
            case _:
                self._ledger.counts["dead letters"] += 1
