"""A run as its topics hold it, made without a broker: for tests that plant a defect, and look who finds it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from vision_stream.audit import Entry, Facts, Report, check
from vision_stream.audit.facts import INPUTS, TABLES
from vision_stream.gating import CameraGate, gate, learn
from vision_stream.joining import CameraResults, join
from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    CameraAssessment,
    DeadLetter,
    RiskLevel,
    decode,
    encode,
    without_picture,
)
from vision_stream.settings import GatingSettings, Settings
from vision_stream.simulators.load import Load, a_detection

SETTINGS = Settings(gating=GatingSettings(cooldown_s=0.0))
LEVELS: tuple[RiskLevel, ...] = ("none", "high", "low", "medium")
LOAD = Load(cameras=2, fps=1.0, seconds=5, groups=2, session="s1")
BEGAN = 1000.0
READ_AT = 5000.0


def judged(task: AssessmentTask, risk_level: RiskLevel, **fields: Any) -> Assessed:
    """The outcome of a task, as the scheduler sends it."""
    common: dict[str, Any] = {
        "task_id": task.task_id,
        "request_id": task.request_id,
        "camera_id": task.camera_id,
        "group": without_picture(task.group),
        "group_count": task.group_count,
        "deadline": task.deadline,
        "times": task.times,
        "attempts": 1,
    }
    return Assessed(**{**common, "risk_level": risk_level, "confidence": 0.9, **fields})


class Run:
    """Topics by our names; one partition, all committed."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Entry]] = defaultdict(list)
        self.uncommitted: dict[str, int] = {}  # from which offset on
        for name in (*INPUTS, *TABLES, "dead_letters"):
            self.topics[name] = []

    def send(self, topic: str, camera_id: str, message: Struct | bytes) -> None:
        payload = message if isinstance(message, bytes) else encode(message)
        entries = self.topics[topic]
        entries.append(Entry(0, len(entries), BEGAN, camera_id.encode(), payload))

    def bury(self, topic: str, offset: int, error: str = "not handled") -> None:
        entry = self.topics[topic][offset]
        name = getattr(SETTINGS.kafka.topics, topic).name
        self.send("dead_letters", "", DeadLetter(topic=name, partition=0, offset=offset, key=entry.key,
                                                 value=entry.value, error=error, at=BEGAN))  # fmt: skip

    def lose(self, topic: str, offset: int) -> None:
        """As if it had never been sent; what follows moves up."""
        left = [entry for entry in self.topics[topic] if entry.offset != offset]
        self.topics[topic] = [entry._replace(offset=n) for n, entry in enumerate(left)]

    def change(self, topic: str, offset: int, kind: Any, change: Callable[[Any], Struct]) -> None:
        entry = self.topics[topic][offset]
        self.topics[topic][offset] = entry._replace(value=encode(change(decode(entry.value, kind))))

    def swap(self, topic: str, one: int, other: int) -> None:
        """Two records change places."""
        a, b = self.topics[topic][one], self.topics[topic][other]
        self.topics[topic][one], self.topics[topic][other] = a._replace(offset=b.offset), b._replace(offset=a.offset)
        self.topics[topic][one], self.topics[topic][other] = b._replace(offset=one), a._replace(offset=other)

    def facts(self, **fields: Any) -> Facts:
        ends = {(name, 0): len(self.topics[name]) for name in INPUTS}
        committed = {place: self.uncommitted.get(place[0], end) for place, end in ends.items()}
        whole: dict[str, Any] = {
            "topics": {name: tuple(entries) for name, entries in self.topics.items()},
            "read_at": READ_AT,
            "committed": committed,
            "ends": ends,
        }
        return Facts(**{**whole, **fields})

    def report(self, *, strict: bool = False, **fields: Any) -> Report:
        return check(self.facts(**fields), SETTINGS, strict=strict)

    def found(self, **options: Any) -> dict[str, list[str]]:
        """Ids of the findings, by invariant."""
        found: dict[str, list[str]] = {}
        for finding in self.report(**options).findings:
            found.setdefault(finding.invariant, []).append(finding.id)
        return found


def a_run(load: Load = LOAD) -> Run:
    """All goes well: each detection's tasks are judged, joined and learned before the next comes."""
    run = Run()
    gates: dict[str, CameraGate] = defaultdict(CameraGate)
    results: dict[str, CameraResults] = defaultdict(CameraResults)
    for sequence in range(1, int(load.seconds * load.fps) + 1):
        for camera in range(load.cameras):
            detection = a_detection(load, camera, sequence, now=BEGAN + sequence)
            camera_id = detection.camera_id
            run.send("detection_results", camera_id, detection)
            gated = gate(gates[camera_id], detection, SETTINGS.gating,
                         task_deadline_s=SETTINGS.kafka.scheduler.task_deadline_s, now=BEGAN)  # fmt: skip
            gates[camera_id] = gated.state
            for task in gated.tasks:
                run.send("assessment_tasks", camera_id, task)
            run.send("camera_state", camera_id, gated.state)
            for number, task in enumerate(gated.tasks):
                _answer(run, results, gates, judged(task, LEVELS[(sequence + number) % 4]))
    return run


def _answer(run: Run, results: dict[str, CameraResults], gates: dict[str, CameraGate], outcome: Assessed) -> None:
    camera_id = outcome.camera_id
    run.send("risk_assessment_results", camera_id, outcome)
    joined = join(results[camera_id], outcome, SETTINGS.alerts, now=BEGAN)
    results[camera_id] = joined.state
    for message in joined.messages:
        run.send("camera_assessments", camera_id, message)
    run.send("pending_assessments", camera_id, joined.state)
    for message in joined.messages:
        if isinstance(message, CameraAssessment):
            gates[camera_id] = learn(gates[camera_id], message)
            run.send("camera_state", camera_id, gates[camera_id])
