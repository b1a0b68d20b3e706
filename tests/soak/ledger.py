"""What became of each detection. Kept is what is under way, and what is settled as long as it may come again."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    CameraAssessment,
    Detection,
    GroupAssessment,
    RiskLevel,
    max_risk,
    outcome_name,
)

PATIENCE_S = 120.0  # a detection older than this, and not through, is stuck: four times a task's deadline
GIVEN_UP_S = 900.0  # and older than this, lost
REMEMBERED_S = 900.0  # how long a settled request is known, so that a second and different join is seen
FINDINGS_KEPT = 200


@dataclass
class Request:
    """A detection whose groups went to the LLM."""

    at: float  # epoch seconds, captured
    wanted: frozenset[int] = frozenset()  # indexes of new groups, which the gate must have sent
    expected: int = 0  # tasks, as the first task says
    tasks: set[int] = field(default_factory=set)
    outcomes: dict[str, GroupAssessment] = field(default_factory=dict)  # the first of each task id
    join: CameraAssessment | None = None
    stuck: bool = False

    @property
    def missing(self) -> str:
        """What is not there yet; empty: settled."""
        if not self.tasks or len(self.tasks) < self.expected or self.wanted - self.tasks:
            return "task"
        if len(self.outcomes) < len(self.tasks):
            return "outcome"
        return "" if self.join is not None else "join"


@dataclass
class Mark:
    """The end of a fault, and when work was seen to go on after it; seconds, None: not yet."""

    at: float  # epoch seconds
    cameras: set[str]  # that have had no new outcome
    first_s: float | None = None
    all_s: float | None = None


class Ledger:
    """``sending`` before a detection is sent; the other four as the topics say. Times are epoch seconds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        self.cameras: set[str] = set()
        self.mark: Mark | None = None
        self._unseen: dict[str, float] = {}  # detections that are not in their topic yet
        self._requests: dict[str, Request] = {}
        self._settled: OrderedDict[str, tuple[float, CameraAssessment]] = OrderedDict()
        self._last_request: dict[str, int] = {}  # sequence, by camera

    def sending(self, detection: Detection, new: bool) -> None:
        self.cameras.add(detection.camera_id)
        at = detection.times.captured_at
        self._unseen[detection.detection_id] = at
        if new:
            self._requests[detection.detection_id] = Request(at, frozenset(g.index for g in detection.groups))

    def detection(self, detection_id: str) -> None:
        self.counts["detections"] += 1
        if self._unseen.pop(detection_id, None) is None:
            self.counts["detections again"] += 1

    def task(self, task: AssessmentTask) -> None:
        self.counts["tasks"] += 1
        request = self._of(task.request_id, task.times.captured_at)
        if request is None or task.group.index in request.tasks:
            self.counts["tasks again"] += 1
            return
        if not request.tasks:
            self._check_order(task)
        request.tasks.add(task.group.index)
        request.expected = max(request.expected, task.group_count)
        self._settle(task.request_id, request)

    def outcome(self, outcome: GroupAssessment, now: float) -> None:
        self.counts[outcome_name(outcome)] += 1
        request = self._of(outcome.request_id, outcome.times.captured_at)
        if request is None or outcome.task_id in request.outcomes:
            self.counts["outcomes again"] += 1
            self.counts["LLM calls again"] += outcome.attempts
            return
        request.outcomes[outcome.task_id] = outcome
        self._note_recovery(outcome, now)
        self._settle(outcome.request_id, request)

    def join(self, join: CameraAssessment) -> None:
        self.counts["joins"] += 1
        known = self._settled.get(join.request_id)
        first = known[1] if known else getattr(self._requests.get(join.request_id), "join", None)
        if first is not None:
            self.counts["joins again"] += 1
            if _essence(join) != _essence(first):
                self._find(f"{join.request_id}: two joins that differ")
            return
        request = self._of(join.request_id, join.times.captured_at)
        if request is not None:
            request.join = join
            self.counts["complete" if join.complete else "partial"] += 1
            self._settle(join.request_id, request)

    def begin_recovery(self, at: float) -> Mark:
        self.mark = Mark(at, set(self.cameras))
        return self.mark

    def open_before(self, at: float) -> dict[str, int]:
        """What is not through of what was sent before ``at``, by what is missing."""
        found = Counter(request.missing for request in self._requests.values() if request.at < at)
        found["detection"] = sum(sent < at for sent in self._unseen.values())
        return {what: n for what, n in found.items() if n}

    def sweep(self, now: float, *, patience_s: float = PATIENCE_S) -> None:
        """Say what is stuck or lost, and forget what is long settled."""
        for detection_id in [i for i, at in self._unseen.items() if now - at > GIVEN_UP_S]:
            del self._unseen[detection_id]
            self._lose(f"{detection_id}: not in its topic")
        for request_id, request in list(self._requests.items()):
            if now - request.at > GIVEN_UP_S:
                self._lose(f"{request_id}: no {self._requests.pop(request_id).missing}")
            elif now - request.at > patience_s and not request.stuck:
                request.stuck = True
                self.counts["stuck"] += 1
                self._find(f"{request_id}: no {request.missing} within {patience_s:g} s")
        while self._settled and now - next(iter(self._settled.values()))[0] > REMEMBERED_S:
            self._settled.popitem(last=False)

    @property
    def under_way(self) -> int:
        return len(self._unseen) + len(self._requests)

    def _of(self, request_id: str, at: float) -> Request | None:
        """The request, made where it is new; None where it is settled."""
        if request_id in self._settled:
            return None
        return self._requests.setdefault(request_id, Request(at))

    def _settle(self, request_id: str, request: Request) -> None:
        if request.missing or request.join is None:
            return
        del self._requests[request_id]
        self._settled[request_id] = (request.at, request.join)
        self.counts["requests settled"] += 1
        if wrong := _wrong(request, request.join):
            self._find(f"{request_id}: {wrong}")

    def _check_order(self, task: AssessmentTask) -> None:
        sequence = int(task.request_id.rpartition(":")[2])
        if sequence < self._last_request.get(task.camera_id, 0):
            self._find(f"{task.task_id}: a new task behind one of a later detection")
        self._last_request[task.camera_id] = sequence

    def _note_recovery(self, outcome: GroupAssessment, now: float) -> None:
        mark = self.mark
        if mark is None or outcome.times.captured_at < mark.at:
            return
        mark.first_s = now - mark.at if mark.first_s is None else mark.first_s
        mark.cameras.discard(outcome.camera_id)
        if not mark.cameras and mark.all_s is None:
            mark.all_s = now - mark.at

    def _lose(self, what: str) -> None:
        self.counts["lost"] += 1
        self._find(what)

    def _find(self, what: str) -> None:
        self.counts["findings"] += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(what)


def _wrong(request: Request, join: CameraAssessment) -> str:
    """How the join is not that of its tasks' first outcomes; empty: it is."""
    held = [outcome.group.index for outcome in join.assessments]
    if len(set(held)) < len(held):
        return "a group stands twice in its join"
    if join.complete and set(held) != request.tasks:
        return f"its join says complete, and holds the groups {held} of {sorted(request.tasks)}"
    if any(_verdict(outcome) != _verdict(request.outcomes.get(outcome.task_id)) for outcome in join.assessments):
        return "its join holds another verdict than the task's first outcome"
    levels: list[RiskLevel] = [outcome.risk_level for outcome in join.assessments if isinstance(outcome, Assessed)]
    return "" if join.max_risk_level == max_risk(levels) else "its maximum is wrong"


def _verdict(outcome: GroupAssessment | None) -> tuple[str, str]:
    if outcome is None:
        return "", ""
    return outcome_name(outcome), outcome.risk_level if isinstance(outcome, Assessed) else ""


def _essence(join: CameraAssessment) -> tuple[object, ...]:
    return join.complete, join.max_risk_level, tuple(_verdict(outcome) for outcome in join.assessments)
