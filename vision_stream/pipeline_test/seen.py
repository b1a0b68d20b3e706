"""What came by on the topics, by stage. Pure: bytes and times in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from vision_stream.errors import MessageError
from vision_stream.messages import (
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    Detection,
    GroupAssessment,
    Overdue,
    StageTimes,
    decode,
    outcome_name,
)

STAGES = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")
KINDS: dict[str, Any] = {
    "detection_results": Detection,
    "assessment_tasks": AssessmentTask,
    "risk_assessment_results": GroupAssessment | Overdue,
    "camera_assessments": CameraMessage,
}


class Join(Struct, frozen=True):
    times: StageTimes
    complete: bool
    received_at: float  # epoch seconds, by our clock


@dataclass
class Seen:
    """Of one load where ``session`` names it, else of everybody."""

    session: str = ""
    messages: Counter[str] = field(default_factory=Counter)  # by stage
    unreadable: Counter[str] = field(default_factory=Counter)
    detections: set[str] = field(default_factory=set)
    tasks: dict[str, str] = field(default_factory=dict)  # task id -> request id
    outcomes: dict[str, str] = field(default_factory=dict)  # task id -> assessed, expired or failed: the first
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: int = 0  # outcomes of a task that had one
    joins: dict[str, Join] = field(default_factory=dict)  # by request id: the first

    def note(self, stage: str, payload: bytes | None, received_at: float) -> None:
        """One record of a stage's topic."""
        try:
            message = decode(payload, KINDS[stage])
        except MessageError:
            self.unreadable[stage] += 1
            return
        if isinstance(message, Detection):
            self._count(stage, message.detection_id, self.detections.add, message.detection_id)
        elif isinstance(message, AssessmentTask):
            self._count(stage, message.request_id, self.tasks.setdefault, message.task_id, message.request_id)
        elif isinstance(message, CameraAssessment):
            join = Join(message.times, message.complete, received_at)
            self._count(stage, message.request_id, self.joins.setdefault, message.request_id, join)
        elif isinstance(message, GroupAssessment):
            self._count(stage, message.request_id, self._outcome, message)

    def _count(self, stage: str, request_id: str, note: Any, *values: Any) -> None:
        if not self.session or f":{self.session}:" in request_id:
            self.messages[stage] += 1
            note(*values)

    def _outcome(self, outcome: GroupAssessment) -> None:
        if outcome.task_id in self.outcomes:
            self.repeated += 1
            return
        self.outcomes[outcome.task_id] = outcome_name(outcome)
        if reason := getattr(outcome, "reason", ""):
            self.reasons[reason] += 1

    @property
    def unanswered(self) -> set[str]:
        return self.tasks.keys() - self.outcomes.keys()

    @property
    def unjoined(self) -> set[str]:
        return set(self.tasks.values()) - self.joins.keys()

    def settled(self) -> bool:
        """Has every task its outcome and every request its join?"""
        return not self.unanswered and not self.unjoined
