"""A request's outcomes joined to one assessment, and the alerts that follow: what the aggregator decides.

One row a camera holds all of it, so that a write is atomic: the requests that wait, those finished lately, and the
alerts. A message that comes again finds its own effect and changes nothing.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vision_stream.alerts import AlertBook, observe, stale, tick
from vision_stream.messages import (
    Alert,
    Assessed,
    CameraAssessment,
    CameraMessage,
    GroupAssessment,
    Overdue,
    StageTimes,
    max_risk,
)
from vision_stream.settings import AlertSettings

GRACE_S = 2.0  # past the deadline: an outcome that was in time is still on its way
FINISHED_KEPT = 64  # requests; above what a restart replays of one camera. More: a longer row, written each time
TICKS_KEPT = 16  # of a camera; one comes every ten seconds at most, and a restart replays less
PENDING_KEPT = 256  # requests that wait; more means that outcomes no longer come, and the oldest is closed as partial


class Pending(Struct, frozen=True, kw_only=True):
    request_id: str
    deadline: float
    outcomes: tuple[GroupAssessment, ...]


class Finished(Struct, frozen=True, array_like=True):
    request_id: str
    indexes: tuple[int, ...]  # the groups whose outcomes were seen, in time or late


class CameraResults(Struct, frozen=True, kw_only=True):
    pending: tuple[Pending, ...] = ()  # oldest first
    finished: tuple[Finished, ...] = ()  # newest first
    book: AlertBook = AlertBook()
    ticks: tuple[float, ...] = ()  # seen lately, newest first: one that comes again must not see what came after it


class Joined(Struct, frozen=True, kw_only=True):
    """The next state, and what to send before it is written."""

    state: CameraResults
    messages: tuple[CameraMessage, ...] = ()


DEFAULT_ALERTS = AlertSettings()


def join(
    state: CameraResults,
    message: GroupAssessment | Overdue,
    policy: AlertSettings = DEFAULT_ALERTS,
    *,
    now: float | None = None,
) -> Joined:
    """Take one outcome or tick.

    Args:
        now: epoch seconds, stamped on the assessment; decides nothing.
    """
    if isinstance(message, Overdue):
        if message.at in state.ticks:
            return Joined(state=state)
        ticked = replace(state, ticks=(message.at, *state.ticks)[:TICKS_KEPT])
        return _time_passed(ticked, message.at, policy, now)
    if _seen(state, message):
        return Joined(state=state)
    state, alerts = _alert(state, message, policy)
    finished = next((f for f in state.finished if f.request_id == message.request_id), None)
    if finished is not None:  # after a partial push: too late for the join, not for an alert
        return Joined(
            state=_finish(state, message.request_id, (*finished.indexes, message.group.index)), messages=alerts
        )
    pending = _add(state, message)
    if len(pending.outcomes) < message.group_count:
        waiting = (*_without(state, message.request_id), pending)
        return _bounded(replace(state, pending=waiting), alerts, now)
    return _close(state, pending, alerts, now)


def overdue(state: CameraResults, now: float, policy: AlertSettings = DEFAULT_ALERTS) -> tuple[str, ...]:
    """Ids of the requests whose deadline has passed and of the alerts that nothing has confirmed for long."""
    late = tuple(p.request_id for p in state.pending if now > p.deadline + GRACE_S)
    return late + tuple(a.alert_id for a in stale(state.book, now, policy))


def _seen(state: CameraResults, message: GroupAssessment) -> bool:
    index = message.group.index
    for finished in state.finished:
        if finished.request_id == message.request_id:
            return index in finished.indexes
    waiting = next((p for p in state.pending if p.request_id == message.request_id), None)
    return waiting is not None and any(o.group.index == index for o in waiting.outcomes)


def _alert(
    state: CameraResults, message: GroupAssessment, policy: AlertSettings
) -> tuple[CameraResults, tuple[Alert, ...]]:
    if not isinstance(message, Assessed):
        return state, ()
    book, changed = observe(state.book, message, policy)
    return replace(state, book=book), changed


def _add(state: CameraResults, message: GroupAssessment) -> Pending:
    before = next((p for p in state.pending if p.request_id == message.request_id), None)
    outcomes = before.outcomes if before else ()
    return Pending(request_id=message.request_id, deadline=message.deadline, outcomes=(*outcomes, message))


def _without(state: CameraResults, request_id: str) -> tuple[Pending, ...]:
    return tuple(p for p in state.pending if p.request_id != request_id)


def _close(state: CameraResults, pending: Pending, before: tuple[CameraMessage, ...], now: float | None) -> Joined:
    """Finish a request; ``before`` goes out first, so that an alert never waits behind its assessment."""
    indexes = tuple(o.group.index for o in pending.outcomes)
    state = replace(state, pending=_without(state, pending.request_id))
    return Joined(state=_finish(state, pending.request_id, indexes), messages=(*before, _assessment(pending, now)))


def _finish(state: CameraResults, request_id: str, indexes: tuple[int, ...]) -> CameraResults:
    others = tuple(f for f in state.finished if f.request_id != request_id)
    return replace(state, finished=(Finished(request_id, indexes), *others)[:FINISHED_KEPT])


def _bounded(state: CameraResults, messages: tuple[CameraMessage, ...], now: float | None) -> Joined:
    if len(state.pending) <= PENDING_KEPT:
        return Joined(state=state, messages=messages)
    return _close(state, state.pending[0], messages, now)


def _time_passed(state: CameraResults, at: float, policy: AlertSettings, now: float | None) -> Joined:
    book, resolved = tick(state.book, at, policy)
    joined = Joined(state=replace(state, book=book), messages=resolved)
    for pending in state.pending:
        if at > pending.deadline + GRACE_S:
            joined = _close(joined.state, pending, joined.messages, now)
    return joined


def _assessment(pending: Pending, now: float | None) -> CameraAssessment:
    outcomes = tuple(sorted(pending.outcomes, key=lambda o: o.group.index))
    return CameraAssessment(
        request_id=pending.request_id,
        camera_id=outcomes[0].camera_id,
        assessments=outcomes,
        group_count=outcomes[0].group_count,
        max_risk_level=max_risk([o.risk_level for o in outcomes if isinstance(o, Assessed)]),
        complete=len(outcomes) == outcomes[0].group_count,
        times=_times(outcomes, now),
    )


def _times(outcomes: tuple[GroupAssessment, ...], now: float | None) -> StageTimes:
    """The request's: its first call, and its last answer."""
    called = [o.times.called_at for o in outcomes if o.times.called_at is not None]
    answered = [o.times.answered_at for o in outcomes if o.times.answered_at is not None]
    return replace(
        outcomes[0].times,
        called_at=min(called, default=None),
        answered_at=max(answered, default=None),
        joined_at=now,
    )
