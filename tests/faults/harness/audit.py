"""What became of each detection: all topics read from their start, compared by content, task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.waiting import eventually
from vision_stream import topics
from vision_stream.messages import (
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    Detection,
    GroupAssessment,
    Overdue,
    decode,
)
from vision_stream.settings import Settings

INPUTS = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")
COMMIT_LAG_S = 3.0  # committed offsets trail by up to the commit interval; earlier is no wedge


@dataclass
class Findings:
    """Empty lists and mappings are good."""

    detections: int = 0
    not_in_topic: list[str] = field(default_factory=list)  # detections that the producer was told are taken
    without_task: list[str] = field(default_factory=list)  # task ids
    without_outcome: list[str] = field(default_factory=list)
    without_join: list[str] = field(default_factory=list)  # request ids
    wrong_join: list[str] = field(default_factory=list)  # complete, and yet not of all groups
    dead_letters: int = 0
    repeated: dict[str, int] = field(default_factory=dict)  # by topic: allowed, at least once
    outcomes: dict[str, int] = field(default_factory=dict)
    uncommitted: dict[str, int] = field(default_factory=dict)  # messages by partition

    @property
    def lost(self) -> int:
        missing = (self.not_in_topic, self.without_task, self.without_outcome, self.without_join, self.wrong_join)
        return sum(map(len, missing)) + self.dead_letters

    def __str__(self) -> str:
        shown = {name: value for name, value in vars(self).items() if value}
        return f"lost {self.lost}: " + ", ".join(f"{n} {v[:5] if isinstance(v, list) else v}" for n, v in shown.items())


async def audit(settings: Settings, detections: Iterable[Detection], within_s: float = 60.0) -> Findings:
    """Wait until all is through, or ``within_s`` seconds have passed, and say what is not."""
    expected = list(detections)
    found = Findings()

    async def whole() -> bool:
        nonlocal found
        found = await _content(settings, expected)
        return not found.lost

    with suppress(AssertionError):
        await eventually(whole, within_s, every_s=1.0)
    return found


async def committed(settings: Settings, within_s: float = 10.0, *, inputs: Iterable[str] = INPUTS) -> dict[str, int]:
    """Messages not yet committed, by partition; empty when all are, for which it waits ``within_s`` seconds."""
    left: dict[str, int] = {}

    async def none() -> bool:
        nonlocal left
        left = await uncommitted(settings, inputs)
        return not left

    with suppress(AssertionError):
        await eventually(none, within_s, every_s=1.0)
    return left


async def _content(settings: Settings, expected: list[Detection]) -> Findings:
    messages = {name: await read_all(settings, name) for name in (*INPUTS, "dead_letters")}
    ids = {decode(m, Detection).detection_id for m in messages["detection_results"]}
    tasks = Counter(decode(m, AssessmentTask).task_id for m in messages["assessment_tasks"])
    results = [decode(m, GroupAssessment | Overdue) for m in messages["risk_assessment_results"]]
    outcomes = Counter(r.task_id for r in results if not isinstance(r, Overdue))
    joins = [decode(m, CameraMessage) for m in messages["camera_assessments"]]
    requests: dict[str, list[CameraAssessment]] = {}
    for join in joins:
        if isinstance(join, CameraAssessment):
            requests.setdefault(join.request_id, []).append(join)
    wanted = {f"{d.detection_id}/{g.index}" for d in expected for g in d.groups}
    return Findings(
        detections=len(expected),
        not_in_topic=sorted({d.detection_id for d in expected} - ids),
        without_task=sorted(wanted - tasks.keys()),
        without_outcome=sorted(wanted - outcomes.keys()),
        without_join=sorted({d.detection_id for d in expected if d.groups} - requests.keys()),
        wrong_join=sorted(d.detection_id for d in expected if d.groups and _is_wrong(d, requests)),
        dead_letters=len(messages["dead_letters"]),
        repeated={
            "detection_results": len(messages["detection_results"]) - len(ids),
            "assessment_tasks": tasks.total() - len(tasks),
            "risk_assessment_results": outcomes.total() - len(outcomes),
            "camera_assessments": sum(map(len, requests.values())) - len(requests),
        },
        outcomes=dict(Counter(r.__struct_config__.tag for r in results)),
    )


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
    consumer = AIOKafkaConsumer(bootstrap_servers=list(settings.kafka.bootstrap_servers), group_id=None)
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


async def uncommitted(settings: Settings, names: Iterable[str] = INPUTS) -> dict[str, int]:
    """Messages beyond the committed offset, by partition of the agents' inputs."""
    servers = list(settings.kafka.bootstrap_servers)
    admin, consumer = AIOKafkaAdminClient(bootstrap_servers=servers), AIOKafkaConsumer(bootstrap_servers=servers)
    await admin.start()
    await consumer.start()
    try:
        done = await admin.list_consumer_group_offsets(topics.app_id(settings))
        inputs = [getattr(settings.kafka.topics, name) for name in names]
        places = [TopicPartition(t.name, n) for t in inputs for n in range(t.partitions)]
        ends = await consumer.end_offsets(places)
        left = {p: ends[p] - max(done[p].offset if p in done else 0, 0) for p in places}
        return {f"{p.topic}-{p.partition}": n for p, n in left.items() if n}
    finally:
        await consumer.stop()
        await admin.close()
