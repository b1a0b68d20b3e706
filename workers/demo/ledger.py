"""The topics read back from their beginning: every task compared with its outcomes, every request with its joins."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from aiokafka import AIOKafkaConsumer
from msgspec import Struct

from vision_stream.messages import (
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    GroupAssessment,
    Overdue,
    decode,
)
from vision_stream.settings import Settings

READ_TIMEOUT_S = 20.0


class Ledger(Struct, frozen=True, kw_only=True):
    tasks: frozenset[str]
    outcomes: dict[str, str]  # task id -> assessed, expired or failed: the first one
    reasons: dict[str, int]  # why tasks failed or expired
    repeated_outcomes: int  # the same task again, as after a restart
    requests: frozenset[str]
    joined: frozenset[str]

    @property
    def unanswered(self) -> frozenset[str]:
        return self.tasks - self.outcomes.keys()

    @property
    def unjoined(self) -> frozenset[str]:
        return self.requests - self.joined

    @property
    def by_outcome(self) -> dict[str, int]:
        return dict(Counter(self.outcomes.values()))


async def read(settings: Settings) -> Ledger:
    """Read the three topics to their present ends."""
    topics = settings.kafka.topics
    servers = ",".join(settings.kafka.bootstrap_servers)
    tasks = [decode(m, AssessmentTask) for m in await _messages(servers, topics.assessment_tasks.name)]
    results = [
        decode(m, GroupAssessment | Overdue) for m in await _messages(servers, topics.risk_assessment_results.name)
    ]
    outcomes = [r for r in results if not isinstance(r, Overdue)]
    news = [decode(m, CameraMessage) for m in await _messages(servers, topics.camera_assessments.name)]
    first: dict[str, GroupAssessment] = {}
    for outcome in outcomes:
        first.setdefault(outcome.task_id, outcome)
    return Ledger(
        tasks=frozenset(t.task_id for t in tasks),
        outcomes={task_id: type(o).__name__.lower() for task_id, o in first.items()},
        reasons=dict(Counter(str(getattr(o, "reason", "")) for o in first.values() if hasattr(o, "reason"))),
        repeated_outcomes=len(outcomes) - len(first),
        requests=frozenset(t.request_id for t in tasks),
        joined=frozenset(m.request_id for m in news if isinstance(m, CameraAssessment)),
    )


async def settled(settings: Settings, within_s: float) -> Ledger:
    """Read until every task has its outcome and every request its join, or ``within_s`` is over."""
    until = time.monotonic() + within_s
    while True:
        ledger = await read(settings)
        if not (ledger.unanswered or ledger.unjoined) or time.monotonic() > until:
            return ledger
        await asyncio.sleep(0.5)


async def _messages(servers: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _read_to_end(consumer)
    finally:
        await consumer.stop()


async def _read_to_end(consumer: AIOKafkaConsumer) -> list[bytes]:
    """All messages of the consumer's topic up to the ends that it has now."""
    partitions = sorted(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    await consumer.seek_to_beginning(*partitions)
    found: list[bytes] = []
    while [p for p in partitions if await consumer.position(p) < ends[p]]:
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            found += [record.value for record in batch if record.value is not None]
    return found
