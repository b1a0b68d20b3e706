"""The join folded anew: ``join`` is pure, and its one input, the outcomes of a camera, lies in one partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from vision_stream.audit.decoded import Decoded, Placed, place
from vision_stream.audit.facts import Entry, Facts
from vision_stream.audit.findings import Notes
from vision_stream.joining import GRACE_S, CameraResults, join
from vision_stream.messages import Alert, Assessed, CameraAssessment, CameraMessage, RiskLevel, encode, max_risk
from vision_stream.settings import Settings

TABLE = "pending_assessments"
RESULTS = "risk_assessment_results"
WINDOW = (RESULTS, "camera_assessments", "assessment_tasks", "detection_results")
CUT = "older outcomes are no longer in their topic, or before --since"


Decisions = dict[float | None, set[int]]  # indexes of the groups of a request that were sent, by when it was decided


class Said(NamedTuple):
    """A message that the fold gives, and the record that it follows from."""

    entry: Entry
    message: CameraMessage


class Fold(NamedTuple):
    said: list[Said]
    states: list[bytes]  # encoded; before the first outcome, then after each
    entries: list[Entry]
    last: CameraResults


def check_joins(facts: Facts, decoded: Decoded, settings: Settings, notes: Notes, *, patience_s: float) -> None:
    """I3, I4, I7 of pending_assessments."""
    outcomes, news = decoded.by_camera(RESULTS), decoded.by_camera("camera_assessments")
    indexes = _indexes_of_tasks(decoded)
    for camera_id in sorted({*outcomes, *news}):
        fold = _fold(outcomes.get(camera_id, ()), settings)
        sent = [placed.message for placed in news.get(camera_id, ())]
        _check_requests(facts, fold, [m for m in sent if isinstance(m, CameraAssessment)], indexes, notes)
        _check_waiting(facts, fold, notes, patience_s)
        if facts.begin(RESULTS):
            notes.cannot("I4", CUT)
            notes.cannot("I7", CUT)
            continue
        _check_alerts(facts, fold, [m for m in sent if isinstance(m, Alert)], notes)
        _check_rows(facts, fold, decoded.rows[TABLE].get(camera_id, []), camera_id, notes)
    _check_alert_rows(facts, notes)


def _fold(outcomes: Sequence[Placed[Any]], settings: Settings) -> Fold:
    state, said, states, entries = CameraResults(), [], [encode(CameraResults())], []
    for entry, outcome in outcomes:
        joined = join(state, outcome, settings.alerts)
        state = joined.state
        said += [Said(entry, message) for message in joined.messages]
        states.append(encode(state))
        entries.append(entry)
    return Fold(said, states, entries, state)


# -- requests


def _check_requests(
    facts: Facts, fold: Fold, sent: Sequence[CameraAssessment], indexes: dict[str, Decisions], notes: Notes
) -> None:
    found: dict[str, list[CameraAssessment]] = defaultdict(list)
    for assessment in sent:
        found[assessment.request_id].append(assessment)
        _check_itself(assessment, indexes.get(assessment.request_id), notes)
    wanted = {m.request_id: (entry, m) for entry, m in fold.said if isinstance(m, CameraAssessment)}
    begin = facts.begin(*WINDOW)
    for request_id, (entry, message) in wanted.items():
        if message.times.captured_at <= begin:
            continue
        notes.checked["I3"] += 1
        if request_id not in found:
            _missing(facts, entry, "I3", request_id, "its outcomes are committed, and there is no join", notes)
        for assessment in found[request_id]:
            if _timeless(assessment) != _timeless(message):
                notes.find("I3", request_id, "its join is not what its outcomes give")
    for request_id, assessments in list(found.items()):
        if not assessments:
            continue
        notes.counts["complete" if assessments[0].complete else "partial"] += 1
        notes.repeats["camera_assessments"] += len(assessments) - 1
        if request_id not in wanted and assessments[0].times.captured_at > begin:
            notes.find("I3", request_id, "a join, and its outcomes do not give one")
        if len({_timeless(a) for a in assessments}) > 1:
            notes.find("I3", request_id, "has two joins that differ")


def _check_itself(assessment: CameraAssessment, tasks: Decisions | None, notes: Notes) -> None:
    """What a join says of itself, and the tasks that it must hold: all those of a decision, where there were more."""
    levels: list[RiskLevel] = [o.risk_level for o in assessment.assessments if isinstance(o, Assessed)]
    if assessment.max_risk_level != max_risk(levels):
        what = f"the maximum is {max_risk(levels)}, and its join says {assessment.max_risk_level}"
        notes.find("I3", assessment.request_id, what)
    held = [o.group.index for o in assessment.assessments]
    if len(set(held)) < len(held):
        notes.find("I3", assessment.request_id, "a group stands twice in its join")
    lacks = [tasks.get(o.times.gated_at, set()) - set(held) for o in assessment.assessments] if tasks else []
    if assessment.complete and lacks and all(lacks):
        left_out = ", ".join(map(str, sorted(lacks[0])))
        notes.find("I3", assessment.request_id, f"its join says complete, and lacks the tasks of group {left_out}")


def _check_waiting(facts: Facts, fold: Fold, notes: Notes, patience_s: float) -> None:
    begin = facts.begin(*WINDOW)
    for pending in fold.last.pending:
        if pending.outcomes[0].times.captured_at <= begin:
            continue
        if facts.read_at - pending.deadline > GRACE_S + patience_s:
            notes.find("I3", pending.request_id, "waits past its deadline, and was never closed")
        else:
            notes.pending["requests"] += 1


def _missing(facts: Facts, entry: Entry, invariant: str, id: str, what: str, notes: Notes) -> None:
    if facts.is_committed(RESULTS, entry):
        notes.find(invariant, id, what)
    else:
        notes.pending["joins"] += 1


def _timeless(assessment: CameraAssessment) -> bytes:
    return encode(replace(assessment, times=replace(assessment.times, joined_at=None)))


def _indexes_of_tasks(decoded: Decoded) -> dict[str, Decisions]:
    found: dict[str, Decisions] = defaultdict(lambda: defaultdict(set))
    for _, task in decoded.messages["assessment_tasks"]:
        found[task.request_id][task.times.gated_at].add(task.group.index)
    return found


# -- alerts


def _check_alerts(facts: Facts, fold: Fold, sent: Sequence[Alert], notes: Notes) -> None:
    wanted = {encode(s.message): s for s in fold.said if isinstance(s.message, Alert)}
    order = {payload: number for number, payload in enumerate(wanted)}
    last: dict[str, int] = {}
    seen: set[bytes] = set()
    for alert in sent:
        payload = encode(alert)
        if payload in seen:
            notes.repeats["alerts"] += 1
        elif payload not in wanted:
            notes.find("I4", alert.alert_id, f"{alert.state} at {alert.updated_at:.3f}: no verdict gives this alert")
        elif order[payload] < last.get(alert.alert_id, -1):
            notes.find("I10", alert.alert_id, f"{alert.state} at {alert.updated_at:.3f} stands behind a later state")
        else:
            last[alert.alert_id] = order[payload]
        seen.add(payload)
    for payload, (entry, message) in wanted.items():
        notes.checked["I4"] += 1
        if payload not in seen and isinstance(message, Alert):
            what = f"{message.state}: its verdict is committed, and it was not sent"
            _missing(facts, entry, "I4", message.alert_id, what, notes)
    notes.counts["alerts"] += len({alert.alert_id for alert in sent})


def _check_alert_rows(facts: Facts, notes: Notes) -> None:
    for camera_id, rows in (facts.alert_rows or {}).items():
        ids = [alert.alert_id for alert in rows]
        notes.checked["I4"] += len(ids)
        for alert_id in {i for i in ids if ids.count(i) > 1}:
            notes.find("I4", alert_id, f"has more than one row in Redis's alerts:{camera_id}")


# -- rows


def _check_rows(facts: Facts, fold: Fold, rows: Sequence[Placed[Any]], camera_id: str, notes: Notes) -> None:
    if TABLE not in facts.topics:
        return notes.cannot("I7", "the changelog of pending_assessments was not read")
    at = 0  # rows never go back: an outcome that comes again changes nothing
    for entry, row in rows:
        notes.checked["I7"] += 1
        payload = encode(row)
        reached = next((n for n in range(at, len(fold.states)) if fold.states[n] == payload), None)
        if reached is None:
            notes.find("I7", place(TABLE, entry), f"{camera_id}: no fold of its outcomes, or goes back")
            return None
        at = reached
    done = sum(1 for entry in fold.entries if facts.is_committed(RESULTS, entry))
    if fold.states[at] not in fold.states[done:]:
        notes.find("I7", camera_id, f"the row of {TABLE} is behind the committed outcomes")
    return None
