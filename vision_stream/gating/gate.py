"""The gate sends a group when it is new, has changed, or its verdict is old; never faster than the cooldown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from vision_stream.gating.matching import area, common_tracks, match
from vision_stream.gating.priority import priority
from vision_stream.gating.state import (
    EARLY_KEPT,
    GROUPS_KEPT,
    SESSIONS_KEPT,
    CameraGate,
    Early,
    Judged,
    RememberedGroup,
    handled,
    is_ahead,
    positions_of,
)
from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    Box,
    CameraAssessment,
    Detection,
    Group,
    GroupAssessment,
    RiskLevel,
)
from vision_stream.settings import GatingSettings

FORGET_AFTER_S = 10.0  # a group out of sight; longer than a passing truck hides it
MOVED = 0.5  # of the square root of its area; further, the scene that was judged is another


class Gated(Struct, frozen=True, kw_only=True):
    """``tasks`` and ``skips`` (groups by reason) cover every group of the detection, unless it was replayed."""

    state: CameraGate
    tasks: tuple[AssessmentTask, ...] = ()
    skips: dict[str, int] = {}
    replayed: bool = False


class _Candidate(Struct, frozen=True, kw_only=True):
    group: Group
    priority: int


def gate(
    state: CameraGate,
    detection: Detection,
    policy: GatingSettings,
    *,
    task_deadline_s: float,
    now: float | None = None,
) -> Gated:
    """Decide on one detection.

    Args:
        task_deadline_s: seconds from capture after which a task is not worth a call.
        now: epoch seconds, stamped on the tasks; decides nothing.
    """
    if handled(state, detection):
        return Gated(state=state, replayed=True)
    at = detection.times.captured_at
    before = _fresh(state.groups, at)
    matched = match(detection.groups, before)
    memory = [_seen(group, at, _judged(before, matched, g)) for g, group in enumerate(detection.groups)]
    reasons = [_reason(group, memory[g].judged, at, policy) for g, group in enumerate(detection.groups)]
    skips: Counter[str] = Counter(reasons[g] for g in range(len(memory)) if reasons[g] not in SEND)
    candidates = [g for g in range(len(memory)) if reasons[g] in SEND]
    if candidates and _cooling(state, at, policy):
        skips["cooldown"] += len(candidates)
        candidates = []
    ranked = _rank(candidates, detection, memory, state)
    chosen, left = ranked[: policy.max_groups_per_request], ranked[policy.max_groups_per_request :]
    if left:
        skips["too many groups"] += len(left)
    tasks = tuple(_task(detection, c, len(chosen), task_deadline_s, now) for c in chosen)
    early = {verdict.task_id: verdict for verdict in state.early}
    for task in tasks:
        memory[task.group.index] = replace(memory[task.group.index], judged=_sent(task, early.get(task.task_id)))
    unseen = [old for o, old in enumerate(before) if o not in matched.values()]
    return Gated(
        state=_next_state(state, detection, (*memory, *unseen), requested=bool(tasks)),
        tasks=tasks,
        skips=dict(skips),
    )


def learn(state: CameraGate, assessment: CameraAssessment) -> CameraGate:
    """Remember what asks for another look soon: a high verdict, or none where an outcome failed or expired.

    A calmer verdict changes nothing that the gate decides; without any other, ``state`` itself comes back and need
    not be written.
    """
    urgent: dict[str, RiskLevel | None] = {
        o.task_id: _level(o) for o in assessment.assessments if _level(o) in ("high", None)
    }
    known = {group.judged.task_id for group in state.groups if group.judged}
    early = tuple(Early(t, level) for t, level in urgent.items() if t not in known and is_ahead(state, t))
    if not early and not known & urgent.keys():
        return state

    def taught(group: RememberedGroup) -> RememberedGroup:
        if group.judged is None or group.judged.task_id not in urgent:
            return group
        verdict = urgent[group.judged.task_id]
        return replace(group, judged=replace(group.judged, verdict=verdict, answered=True))

    groups = tuple(taught(group) for group in state.groups)
    others = tuple(e for e in state.early if e.task_id not in urgent)
    return replace(state, groups=groups, early=(*early, *others)[:EARLY_KEPT])


def _level(outcome: GroupAssessment) -> RiskLevel | None:
    return outcome.risk_level if isinstance(outcome, Assessed) else None


NEW, CHANGED, OLD = "new", "changed", "verdict old"
SEND = frozenset({NEW, CHANGED, OLD})


def _reason(group: Group, judged: Judged | None, at: float, policy: GatingSettings) -> str:
    """Why to send the group, or why not."""
    if judged is None:
        return NEW
    if _changed(group, judged):
        return CHANGED
    # A failed or expired outcome leaves the danger unknown: look again as soon as after a high one.
    hurry = judged.verdict == "high" or (judged.answered and judged.verdict is None)
    patience = policy.reassess_high_after_s if hurry else policy.reassess_after_s
    return OLD if at - judged.at >= patience else "unchanged"


def _changed(group: Group, judged: Judged) -> bool:
    members = bool(group.track_ids and judged.track_ids) and common_tracks(group.track_ids, judged.track_ids) < 1.0
    return members or group.label_counts != judged.label_counts or _moved(group.box, judged.box)


def _moved(a: Box, b: Box) -> bool:
    """Has the centre gone further than ``MOVED`` of the size that the group had?"""
    dx = (a.x1 + a.x2 - b.x1 - b.x2) / 2
    dy = (a.y1 + a.y2 - b.y1 - b.y2) / 2
    return dx * dx + dy * dy > MOVED * MOVED * max(area(b), 1.0)


def _cooling(state: CameraGate, at: float, policy: GatingSettings) -> bool:
    # A frame from before the last request (the camera's clock was set back) is not held up for ever.
    return state.last_request_at is not None and 0 <= at - state.last_request_at < policy.cooldown_s


def _fresh(groups: tuple[RememberedGroup, ...], at: float) -> tuple[RememberedGroup, ...]:
    return tuple(g for g in groups if abs(at - g.seen_at) <= FORGET_AFTER_S)


def _judged(before: tuple[RememberedGroup, ...], matched: Mapping[int, int], g: int) -> Judged | None:
    return before[matched[g]].judged if g in matched else None


def _seen(group: Group, at: float, judged: Judged | None) -> RememberedGroup:
    return RememberedGroup(box=group.box, track_ids=group.track_ids, seen_at=at, judged=judged)


def _rank(
    candidates: list[int], detection: Detection, memory: list[RememberedGroup], state: CameraGate
) -> list[_Candidate]:
    before = {p.track_id: p for p in state.positions}
    objects = {o.object_id: o for o in detection.objects}

    def candidate(g: int) -> _Candidate:
        group, judged = detection.groups[g], memory[g].judged
        score = priority(
            (objects[m] for m in group.members if m in objects),
            before,
            captured_at=detection.times.captured_at,
            frame_height=detection.frame_height,
            dangerous_before=judged is not None and judged.verdict == "high",
        )
        return _Candidate(group=group, priority=score)

    return sorted(map(candidate, candidates), key=lambda c: (-c.priority, c.group.index))


def _task(
    detection: Detection, candidate: _Candidate, group_count: int, task_deadline_s: float, now: float | None
) -> AssessmentTask:
    members = frozenset(candidate.group.members)
    return AssessmentTask(
        task_id=f"{detection.detection_id}/{candidate.group.index}",
        request_id=detection.detection_id,
        camera_id=detection.camera_id,
        group=candidate.group,
        objects=tuple(o for o in detection.objects if o.object_id in members),
        group_count=group_count,
        priority=candidate.priority,
        deadline=detection.times.captured_at + task_deadline_s,
        times=replace(detection.times, gated_at=now),
        frame_width=detection.frame_width,
        frame_height=detection.frame_height,
        prompt_profile=detection.prompt_profile,
    )


def _sent(task: AssessmentTask, early: Early | None) -> Judged:
    group = task.group
    return Judged(
        task_id=task.task_id,
        at=task.times.captured_at,
        box=group.box,
        track_ids=group.track_ids,
        label_counts=group.label_counts,
        verdict=early.verdict if early else None,
        answered=early is not None,
    )


def _next_state(
    state: CameraGate, detection: Detection, groups: tuple[RememberedGroup, ...], *, requested: bool
) -> CameraGate:
    past = state.past_sessions
    if state.session and detection.session != state.session:
        past = (state.session, *past)[:SESSIONS_KEPT]
    after = CameraGate(
        session=detection.session,
        sequence=detection.sequence,
        past_sessions=past,
        last_request_at=detection.times.captured_at if requested else state.last_request_at,
        groups=groups[:GROUPS_KEPT],
        positions=positions_of(detection, state.positions),
    )
    return replace(after, early=tuple(e for e in state.early if is_ahead(after, e.task_id)))
