"""What became of the demo's tasks and requests, as the auditor reads and judges them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from msgspec import Struct

from vision_stream.audit import Facts, Finding, check
from vision_stream.audit.decoded import Decoded
from vision_stream.audit.findings import Notes
from vision_stream.audit.reader import read as read_facts
from vision_stream.messages import CameraAssessment, GroupAssessment, Overdue, outcome_name
from vision_stream.settings import Settings

READ_TIMEOUT_S = 20.0


class Ledger(Struct, frozen=True, kw_only=True):
    tasks: frozenset[str]
    outcomes: dict[str, str]  # task id -> assessed, expired or failed: the first one
    reasons: dict[str, int]  # why tasks failed or expired
    repeated_outcomes: int  # the same task again, as after a restart
    requests: frozenset[str]
    joined: frozenset[str]
    findings: tuple[Finding, ...] = ()  # the auditor's, beside what is missing

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
    """Read the topics to their present ends, and audit them."""
    return ledger_of(await read_facts(settings, within_s=READ_TIMEOUT_S), settings)


def ledger_of(facts: Facts, settings: Settings) -> Ledger:
    messages = Decoded(facts, settings.kafka.topics, Notes()).messages
    tasks = [placed.message for placed in messages["assessment_tasks"]]
    outcomes = [p.message for p in messages["risk_assessment_results"] if not isinstance(p.message, Overdue)]
    first: dict[str, GroupAssessment] = {}
    for outcome in outcomes:
        first.setdefault(outcome.task_id, outcome)
    return Ledger(
        tasks=frozenset(t.task_id for t in tasks),
        outcomes={task_id: outcome_name(o) for task_id, o in first.items()},
        reasons=dict(Counter(str(getattr(o, "reason", "")) for o in first.values() if hasattr(o, "reason"))),
        repeated_outcomes=len(outcomes) - len(first),
        requests=frozenset(t.request_id for t in tasks),
        joined=frozenset(
            p.message.request_id for p in messages["camera_assessments"] if isinstance(p.message, CameraAssessment)
        ),
        findings=check(facts, settings).findings,
    )


async def settled(settings: Settings, within_s: float) -> Ledger:
    """Read until every task has its outcome and every request its join, or ``within_s`` is over."""
    until = time.monotonic() + within_s
    while True:
        ledger = await read(settings)
        if not (ledger.unanswered or ledger.unjoined) or time.monotonic() > until:
            return ledger
        await asyncio.sleep(0.5)
