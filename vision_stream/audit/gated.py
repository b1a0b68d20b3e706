"""The gate replayed. Which of a camera's detections and verdicts came first, no topic says but one: the changelog of
``camera_state`` has every state that the worker wrote, in order. ``gate`` and ``learn`` are pure, so each row must be
what one of them makes of the row before; and the gate says anew which groups it sent and which it skipped, and why.

A detection may have been decided more than once: before a kill and after it, or by a worker that did not know yet that
its partition had another owner. The row tells which decision holds; the tasks of the others are repeats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from msgspec.structs import replace

from vision_stream.audit.decoded import Decoded, Placed, place
from vision_stream.audit.facts import Facts
from vision_stream.audit.findings import Notes
from vision_stream.errors import MessageError
from vision_stream.gating import CameraGate, Gated, gate, learn
from vision_stream.gating.state import SESSIONS_KEPT, handled
from vision_stream.messages import AssessmentTask, CameraAssessment, Detection, decode
from vision_stream.settings import Settings

TABLE = "camera_state"
COMPACTED = "rows of camera_state are gone (compacted) that tell what came first"


def check_gate(facts: Facts, decoded: Decoded, settings: Settings, notes: Notes) -> None:
    """I1, I7 of camera_state, I10 of detections and tasks, and I6 of detections and verdicts."""
    if TABLE not in facts.topics:
        _check_order_of_tasks(decoded.messages["assessment_tasks"], notes)
        return notes.cannot("I1", "the changelog of camera_state was not read")
    holes = _holes(facts)
    tasks = _by_request(decoded.messages["assessment_tasks"])
    detections = decoded.by_camera("detection_results")
    verdicts = decoded.by_camera("camera_assessments")
    former = _decided_by_former(decoded)
    idle: set[str] = set()  # requests with tasks of decisions that do not hold
    for camera_id in sorted({*detections, *decoded.rows[TABLE]}):
        rows = decoded.rows[TABLE].get(camera_id, [])
        camera = _Camera(camera_id, detections.get(camera_id, []), verdicts.get(camera_id, []), notes)
        camera.cut = facts.begin("camera_assessments") > 0
        decisions = dict(camera.replay(rows, holes, settings))
        camera.judge(facts, decisions, tasks, former)
        idle |= camera.idle
        camera.check_learned(facts, rows)
    _check_order_of_tasks(decoded.messages["assessment_tasks"], notes, but=idle)
    _check_strays(facts, decoded, notes)


class _Camera:
    def __init__(
        self, camera_id: str, detections: Sequence[Placed[Any]], verdicts: Sequence[Placed[Any]], notes: Notes
    ) -> None:
        self.id = camera_id
        self.gaps = 0  # transitions in the middle whose former row is not known
        self.baseline: CameraGate | None = None  # the first row, where what was before it is not known
        self.cut = False  # older verdicts were not read
        self.idle: set[str] = set()  # requests with tasks of decisions that do not hold
        self._detections: Sequence[Placed[Detection]] = detections
        self._verdicts: dict[str, list[Placed[CameraAssessment]]] = defaultdict(list)
        for verdict in verdicts:
            if isinstance(verdict.message, CameraAssessment):
                self._verdicts[verdict.message.request_id].append(verdict)
        self._notes = notes

    def replay(
        self, rows: Sequence[Placed[CameraGate]], holes: Mapping[int, Sequence[int]], settings: Settings
    ) -> Iterator[tuple[str, Gated]]:
        """What the gate decided, by detection id, as far as the rows tell."""
        known = {(d.message.session, d.message.sequence): d.message for d in self._detections}
        before, at, judged = CameraGate(), -1, False
        for entry, row in rows:
            if any(at < hole < entry.offset for hole in holes.get(entry.partition, ())):
                self._miss(row, judged, COMPACTED)
            elif (row.session, row.sequence) == (before.session, before.sequence):
                self._check_learning(before, row, place(TABLE, entry))
            elif (detection := known.get((row.session, row.sequence))) is None:
                self._miss(row, judged, "a row's detection is no longer in its topic")
            else:
                gated = _gate(before, detection, settings)
                self._check_row(gated, row, detection, place(TABLE, entry))
                judged = True
                yield detection.detection_id, gated
            before, at = row, entry.offset

    def _miss(self, row: CameraGate, judged: bool, why: str) -> None:
        self._notes.cannot("I7", why)
        if judged:
            self.gaps += 1
        else:
            self.baseline = row

    def _check_row(self, gated: Gated, row: CameraGate, detection: Detection, where: str) -> None:
        self._notes.checked["I7"] += 1
        if gated.replayed:
            self._notes.find("I10", detection.detection_id, f"{where} goes back behind a later detection")
        elif gated.state != row:
            self._notes.find("I7", where, f"is not what the gate makes of {detection.detection_id} and the row before")

    def _check_learning(self, before: CameraGate, row: CameraGate, where: str) -> None:
        self._notes.checked["I7"] += 1
        if row == before:
            return
        taught = {
            new.judged.task_id.rpartition("/")[0]
            for old, new in zip(before.groups, row.groups, strict=False)
            if old != new and new.judged
        }
        taught |= {new.task_id.rpartition("/")[0] for new in row.early if new not in before.early}
        candidates = [v.message for request_id in taught for v in self._verdicts.get(request_id, ())]
        if not candidates and self.cut:
            self._notes.cannot("I7", "a row's verdict is no longer in its topic, or before --since")
        elif not any(learn(before, verdict) == row for verdict in candidates):
            self._notes.find("I7", where, f"{self.id}: is not the row before and one verdict more")

    def judge(
        self,
        facts: Facts,
        decisions: Mapping[str, Gated],
        tasks: Mapping[str, Sequence[AssessmentTask]],
        former: Set[str],
    ) -> None:
        """Each detection: all of its groups sent or skipped, as the gate says."""
        for (entry, detection), accepted in self._accepted():
            if not facts.is_committed("detection_results", entry):
                self._notes.pending["detections"] += 1
            elif not accepted:
                if detection.detection_id not in decisions:
                    self._notes.reasons["older than the last one"] += len(detection.groups)
            elif (gated := decisions.get(detection.detection_id)) is not None:
                found = tasks.get(detection.detection_id, ())
                self._judge(detection, gated, self._held(gated, found, detection.detection_id in former))
            elif self._must_have_seen(detection, facts):
                self._notes.find("I6", detection.detection_id, "is committed, and the camera's row never saw it")
            else:
                self._notes.cannot("I1", COMPACTED)

    def _must_have_seen(self, detection: Detection, facts: Facts) -> bool:
        """Are all rows there in which the detection can have been seen first?"""
        if self.baseline is None:
            return not self.gaps and not facts.begin("detection_results", TABLE)
        same = detection.session == self.baseline.session
        return not self.gaps and same and detection.sequence > self.baseline.sequence

    def _accepted(self) -> Iterator[tuple[Placed[Detection], bool]]:
        """Each detection, and whether it was news when its turn came. A camera's come in the order of its partition."""
        state, seen = CameraGate(), set()
        for placed in self._detections:
            detection = placed.message
            if detection.detection_id in seen:
                self._notes.repeats["detection_results"] += 1
                continue
            seen.add(detection.detection_id)
            accepted = not handled(state, detection)
            if accepted:
                state = _next(state, detection)
            elif detection.session == state.session:
                self._notes.find("I10", detection.detection_id, f"stands behind {state.session}:{state.sequence}")
            yield placed, accepted

    def _held(self, gated: Gated, found: Sequence[AssessmentTask], also_former: bool) -> Sequence[AssessmentTask]:
        """The tasks of the decision that holds, where it is among those that were made; else all."""
        wanted = {task.task_id: task for task in gated.tasks}
        made: dict[float | None, list[AssessmentTask]] = defaultdict(list)  # by the time of the decision
        for task in found:
            made[task.times.gated_at].append(task)
        for decided in made.values():
            same = {t.task_id for t in decided if t.task_id in wanted and _is_same(t, wanted[t.task_id])}
            if len(same) == len(wanted) == len({t.task_id for t in decided}):
                return self._leave(found, decided)
        return self._leave(found, []) if also_former and not wanted else found

    def _leave(self, found: Sequence[AssessmentTask], held: list[AssessmentTask]) -> list[AssessmentTask]:
        known = {task.task_id for task in held}
        others = [task for task in found if task.task_id not in known]
        self.idle |= {task.request_id for task in others}
        self._notes.repeats["tasks of a decision that does not hold"] += len(others)
        return held

    def _judge(self, detection: Detection, gated: Gated, found: Sequence[AssessmentTask]) -> None:
        self._notes.checked["I1"] += len(detection.groups)
        self._notes.reasons.update(gated.skips)
        wanted = {task.task_id: task for task in gated.tasks}
        there = {task.task_id for task in found}
        for task_id in wanted.keys() - there:
            self._notes.find("I1", task_id, "the gate sent this group, and there is no task")
        for task_id in there - wanted.keys():
            self._notes.find("I1", task_id, "the gate skipped this group, and there is a task")
        for task in found:
            if task.task_id in wanted and not _is_same(task, wanted[task.task_id]):
                self._notes.find("I1", task.task_id, "a task of this id has other contents than the gate gave it")

    def check_learned(self, facts: Facts, rows: Sequence[Placed[CameraGate]]) -> None:
        """A committed verdict on what the last row remembers is remembered with it, where it asks to be."""
        if not rows:
            return
        row = rows[-1].message
        for task_id in {g.judged.task_id for g in row.groups if g.judged and not g.judged.answered}:
            for entry, verdict in self._verdicts.get(task_id.rpartition("/")[0], ()):
                known = task_id in {outcome.task_id for outcome in verdict.assessments}
                if known and learn(row, verdict) != row and facts.is_committed("camera_assessments", entry):
                    self._notes.find("I6", task_id, "its verdict is committed, and the camera's row has not learned it")


def _check_order_of_tasks(tasks: Sequence[Placed[AssessmentTask]], notes: Notes, but: Set[str] = frozenset()) -> None:
    """I10: new tasks of a camera come in the order of its detections, where each was decided on once."""
    decisions: dict[str, set[float | None]] = defaultdict(set)
    for _, task in tasks:
        decisions[task.request_id].add(task.times.gated_at)
    last: dict[str, tuple[int, str]] = {}
    seen: set[str] = set()
    for _, task in tasks:
        session, _, number = task.request_id.rpartition(":")
        if task.task_id in seen or not number.isdigit():
            continue
        if task.request_id in but or len(decisions[task.request_id]) > 1:
            continue
        seen.add(task.task_id)
        notes.checked["I10"] += 1
        before = last.get(session, (-1, ""))
        if int(number) < before[0]:
            notes.find("I10", task.task_id, f"stands behind {before[1]}")
        last[session] = max(before, (int(number), task.task_id))


def _check_strays(facts: Facts, decoded: Decoded, notes: Notes) -> None:
    known = {d.message.detection_id for d in decoded.messages["detection_results"]}
    begin = facts.begin("detection_results")
    for _, task in decoded.messages["assessment_tasks"]:
        if task.request_id not in known and task.times.captured_at > begin:
            notes.find("I1", task.task_id, "a task, and no detection of it")


def _decided_by_former(decoded: Decoded) -> frozenset[str]:
    """Ids of detections that a former owner of their partition decided on too, late."""
    found = set()
    for entry in decoded.former[TABLE]:
        try:
            row = decode(entry.value, CameraGate)
        except MessageError:
            continue
        found.add(f"{(entry.key or b'').decode(errors='replace')}:{row.session}:{row.sequence}")
    return frozenset(found)


def _by_request(tasks: Sequence[Placed[AssessmentTask]]) -> dict[str, list[AssessmentTask]]:
    found: dict[str, list[AssessmentTask]] = defaultdict(list)
    for placed in tasks:
        found[placed.message.request_id].append(placed.message)
    return found


def _gate(before: CameraGate, detection: Detection, settings: Settings) -> Gated:
    return gate(before, detection, settings.gating, task_deadline_s=settings.kafka.scheduler.task_deadline_s)


def _next(state: CameraGate, detection: Detection) -> CameraGate:
    """What of the state tells whether a later detection is news."""
    past = state.past_sessions
    if state.session and detection.session != state.session:
        past = (state.session, *past)[:SESSIONS_KEPT]
    return replace(state, session=detection.session, sequence=detection.sequence, past_sessions=past)


def _is_same(task: AssessmentTask, wanted: AssessmentTask) -> bool:
    """Is it the task, whenever it was decided? A verdict that came before the replay may have changed its priority."""
    return replace(task, times=replace(task.times, gated_at=None), priority=wanted.priority) == wanted


def _holes(facts: Facts) -> dict[int, list[int]]:
    """Offsets that compaction took, the first of each run, by partition."""
    found: dict[int, list[int]] = defaultdict(list)
    last: dict[int, int] = {}
    for entry in facts.topics.get(TABLE, ()):
        expected = last.get(entry.partition, -1) + 1
        if entry.offset > expected:
            found[entry.partition].append(expected)
        last[entry.partition] = entry.offset
    return found
