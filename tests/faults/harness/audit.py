"""What became of each detection: all topics read from their start, compared by content, task by task."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.faults.harness.offsets import INPUTS
from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.errors import MessageError
from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    DeadLetter,
    Detection,
    GroupAssessment,
    Overdue,
    decode,
)
from vision_stream.settings import Settings


@dataclass
class Findings:
    """Empty lists and mappings are good."""

    detections: int = 0
    not_in_topic: list[str] = field(default_factory=list)  # detections that the producer was told are taken
    without_task: list[str] = field(default_factory=list)  # task ids
    without_outcome: list[str] = field(default_factory=list)
    without_join: list[str] = field(default_factory=list)  # request ids
    wrong_join: list[str] = field(default_factory=list)  # complete, and yet not of all groups
    out_of_order: list[str] = field(default_factory=list)  # first tasks that come after a later detection's
    dead_letters: list[str] = field(default_factory=list)  # errors
    repeated: dict[str, int] = field(default_factory=dict)  # by topic: allowed, at least once
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        hops = (self.not_in_topic, self.without_task, self.without_outcome, self.without_join, self.wrong_join)
        return sum(map(len, hops)) + len(self.dead_letters)

    @property
    def clean(self) -> bool:
        return not self.lost and not self.out_of_order

    def __str__(self) -> str:
        shown = {name: value for name, value in vars(self).items() if value}
        return f"lost {self.lost}: " + ", ".join(f"{n} {v[:5] if isinstance(v, list) else v}" for n, v in shown.items())


async def audit(settings: Settings, detections: Iterable[Detection], within_s: float = 60.0) -> Findings:
    """Read all topics from their start until all is through, or ``within_s`` seconds have passed; say what is not."""
    async with Auditor(settings) as auditor:
        return await auditor.settled(detections, within_s)


class Heard(NamedTuple):
    """A verdict of the LLM, the first on its task."""

    at: float  # monotonic seconds, when the auditor read it
    detection_id: str
    camera_id: str
    called_at: float  # epoch seconds, when the call began that gave it


class Through(NamedTuple):
    """The first complete join of a request with a verdict: it has been through all three stages."""

    at: float  # monotonic seconds, when the auditor read it
    detection_id: str
    camera_id: str


class Auditor:
    """Reads along: ``async with Auditor(settings) as auditor``, then ask as often as wanted.

    A test that plants what cannot be read adds its places to ``planted``: dead letters of it are no loss. One that
    makes deadlines pass adds the requests that are under way then to ``may_be_partial``.
    """

    def __init__(self, settings: Settings) -> None:
        self._topics = {getattr(settings.kafka.topics, name).name: name for name in (*INPUTS, "dead_letters")}
        self._places = self._places_of(settings)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=",".join(settings.kafka.bootstrap_servers), group_id=None, auto_offset_reset="earliest"
        )
        self._work = Background()
        self.detections: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.joins: dict[str, list[CameraAssessment]] = {}
        self.dead_letters: list[DeadLetter] = []
        self.heard: list[Heard] = []
        self.through: list[Through] = []
        self.out_of_order: list[str] = []
        self.unreadable: Counter[str] = Counter()  # by topic: planted, and in the dead letters, or else missing there
        self.planted: set[tuple[str, int, int]] = set()  # topic, partition, offset
        self.may_be_partial: set[str] = set()  # request ids
        self._newest: dict[
            tuple[str, str], int
        ] = {}  # sequence of the newest detection with a task, by camera and session

    async def __aenter__(self) -> Auditor:
        await self._consumer.start()
        self._consumer.assign(self._places)
        await self._consumer.seek_to_beginning(*self._places)
        self._work.spawn(self._read(), name="auditor")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._work.close()
        await self._consumer.stop()

    def _places_of(self, settings: Settings) -> list[TopicPartition]:
        counts = {topic: getattr(settings.kafka.topics, name).partitions for topic, name in self._topics.items()}
        return [TopicPartition(topic, n) for topic, count in counts.items() for n in range(count)]

    async def follow(self, settings: Settings) -> None:
        """Read the partitions too that have come since, and go on where it is with the others."""
        at = {place: await self._consumer.position(place) for place in self._places}
        places = self._places_of(settings)
        self._consumer.assign(places)
        for place in places:
            self._consumer.seek(place, at.get(place, 0))
        self._places = places

    def unjoined(self, request_ids: Iterable[str]) -> set[str]:
        return {request_id for request_id in request_ids if request_id not in self.joins}

    async def settled(self, detections: Iterable[Detection], within_s: float) -> Findings:
        """Wait until nothing is missing, at most ``within_s`` seconds."""
        expected = list(detections)
        with suppress(AssertionError):
            await eventually(lambda: not self.findings(expected).lost, within_s, every_s=0.1)
        return self.findings(expected)

    def findings(self, expected: Iterable[Detection]) -> Findings:
        expected = list(expected)
        wanted = {f"{d.detection_id}/{g.index}" for d in expected for g in d.groups}
        requests = [d for d in expected if d.groups]
        return Findings(
            detections=len(expected),
            not_in_topic=sorted({d.detection_id for d in expected} - self.detections.keys()),
            without_task=sorted(wanted - self.tasks.keys()),
            without_outcome=sorted(wanted - self.outcomes.keys()),
            without_join=sorted({d.detection_id for d in requests} - self.joins.keys()),
            wrong_join=sorted(
                d.detection_id
                for d in requests
                if d.detection_id not in self.may_be_partial and _is_wrong(d, self.joins)
            ),
            out_of_order=list(self.out_of_order),
            dead_letters=[letter.error for letter in self.dead_letters if _place(letter) not in self.planted],
            repeated={
                "detection_results": self.detections.total() - len(self.detections),
                "assessment_tasks": self.tasks.total() - len(self.tasks),
                "risk_assessment_results": self.outcomes.total() - len(self.outcomes),
                "camera_assessments": sum(map(len, self.joins.values())) - len(self.joins),
            },
            outcomes=dict(self.kinds),
        )

    async def _read(self) -> None:
        while True:
            try:
                async for record in self._consumer:
                    self._take_readable(self._topics[record.topic], record.value)
            except KafkaError:  # a broker that is away, or an end that was cut
                await asyncio.sleep(0.2)

    def _take_readable(self, name: str, value: bytes | None) -> None:
        try:
            self._take(name, value)
        except MessageError:
            self.unreadable[name] += 1

    def _take(self, name: str, value: bytes | None) -> None:
        match name:
            case "detection_results":
                self.detections[decode(value, Detection).detection_id] += 1
            case "assessment_tasks":
                self._take_task(decode(value, AssessmentTask))
            case "risk_assessment_results":
                result = decode(value, GroupAssessment | Overdue)
                self.kinds[str(result.__struct_config__.tag)] += 1
                if isinstance(result, Overdue):
                    return
                if isinstance(result, Assessed) and result.task_id not in self.outcomes:
                    called_at = result.times.called_at or 0.0
                    self.heard.append(Heard(time.monotonic(), result.request_id, result.camera_id, called_at))
                self.outcomes[result.task_id] += 1
            case "camera_assessments":
                message = decode(value, CameraMessage)
                if isinstance(message, CameraAssessment):
                    self._take_join(message)
            case _:
                self.dead_letters.append(decode(value, DeadLetter))

    def _take_join(self, join: CameraAssessment) -> None:
        known = self.joins.setdefault(join.request_id, [])
        judged = any(isinstance(assessment, Assessed) for assessment in join.assessments)
        if join.complete and judged and not any(other.complete for other in known):
            self.through.append(Through(time.monotonic(), join.request_id, join.camera_id))
        known.append(join)

    def _take_task(self, task: AssessmentTask) -> None:
        if task.task_id not in self.tasks:
            _, session, sequence = task.request_id.rsplit(":", 2)
            place = task.camera_id, session
            if int(sequence) < self._newest.get(place, 0):
                self.out_of_order.append(task.task_id)
            self._newest[place] = max(int(sequence), self._newest.get(place, 0))
        self.tasks[task.task_id] += 1


def _place(letter: DeadLetter) -> tuple[str, int, int]:
    return letter.topic, letter.partition, letter.offset


def _is_wrong(detection: Detection, requests: Mapping[str, list[CameraAssessment]]) -> bool:
    """No join has each group exactly once; the readers of the topic take the first of a request."""
    wanted = sorted(group.index for group in detection.groups)
    joins = requests.get(detection.detection_id, [])
    return bool(joins) and not any(
        join.complete and [a.group.index for a in join.assessments] == wanted for join in joins
    )


async def read_all(settings: Settings, name: str) -> list[bytes]:
    """The values of all messages of a topic."""
    topic = getattr(settings.kafka.topics, name)
    return [m.value or b"" for m in await records(settings, topic.name, topic.partitions)]


async def records(settings: Settings, topic: str, partitions: int) -> list[Any]:
    """All records of a topic, with their places."""
    consumer = AIOKafkaConsumer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers), group_id=None)
    await consumer.start()
    try:
        places = [TopicPartition(topic, n) for n in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends, found = await consumer.end_offsets(places), []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
        return found
    finally:
        await consumer.stop()
