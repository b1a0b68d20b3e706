"""The alerts of one camera: those that are open, and the resolved ones that a late verdict could reopen by mistake."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vision_stream.gating.matching import overlap
from vision_stream.messages import RISK_ORDER, Alert, Assessed, max_risk
from vision_stream.settings import AlertSettings

SAME_PLACE = 0.3  # overlap of boxes that counts as the same danger where tracks do not tell
RESOLVED_KEPT_S = 120.0  # above any LLM deadline: a verdict on an older frame than the resolution opens nothing
ALERTS_KEPT = 30


class AlertBook(Struct, frozen=True, kw_only=True):
    alerts: tuple[Alert, ...] = ()  # open ones, and those resolved lately


def observe(book: AlertBook, verdict: Assessed, policy: AlertSettings) -> tuple[AlertBook, tuple[Alert, ...]]:
    """Take one verdict; returns the book and the alerts that changed by it."""
    same = max(book.alerts, key=lambda alert: _likeness(alert, verdict), default=None)
    same = same if same is not None and _likeness(same, verdict) else None
    if same is not None and verdict.times.captured_at <= same.updated_at:
        return book, ()  # an older frame, answered late or come again: the alert knows better
    if RISK_ORDER[verdict.risk_level] >= RISK_ORDER[policy.min_level]:
        if same is not None and same.state != "resolved":
            return _put(book, _continued(same, verdict))
        return _put(book, _opened(verdict))
    if same is not None and same.state != "resolved" and verdict.risk_level in ("none", "low"):
        return _put(book, _resolved(same, verdict.times.captured_at))
    return book, ()


def tick(book: AlertBook, at: float, policy: AlertSettings) -> tuple[AlertBook, tuple[Alert, ...]]:
    """Resolve what nothing has confirmed for ``resolve_after_s``."""
    changed: tuple[Alert, ...] = ()
    for alert in stale(book, at, policy):
        book, news = _put(book, _resolved(alert, at))
        changed += news
    return book, changed


def stale(book: AlertBook, at: float, policy: AlertSettings) -> tuple[Alert, ...]:
    return tuple(a for a in book.alerts if a.state != "resolved" and at - a.updated_at > policy.resolve_after_s)


def _likeness(alert: Alert, verdict: Assessed) -> int:
    """3: the same group; 2: one that shares members, as a part that has split off; 1: at the same place; 0: another
    danger."""
    group, calm = verdict.group, not verdict.risk_types
    if not (calm or not alert.risk_types or set(alert.risk_types) & set(verdict.risk_types)):
        return 0
    # Identities of groups and tracks are stable within one run of a capture worker only.
    if _session(alert.task_id) == _session(verdict.task_id):
        if alert.group_id is not None and alert.group_id == group.group_id:
            return 3
        if set(alert.track_ids) & set(group.track_ids):
            return 2
    return int(overlap(alert.box, group.box) >= SAME_PLACE)


def _session(task_id: str) -> str:
    """``camera:session`` of ``camera:session:sequence/index``."""
    return task_id.rpartition(":")[0]


def _opened(verdict: Assessed) -> Alert:
    return Alert(
        alert_id=f"alert:{verdict.task_id}",
        camera_id=verdict.camera_id,
        state="opened",
        risk_level=verdict.risk_level,
        risk_types=verdict.risk_types,
        description=verdict.description,
        opened_at=verdict.times.captured_at,
        updated_at=verdict.times.captured_at,
        task_id=verdict.task_id,
        box=verdict.group.box,
        track_ids=verdict.group.track_ids,
        group_id=verdict.group.group_id,
    )


def _continued(alert: Alert, verdict: Assessed) -> Alert:
    worse = RISK_ORDER[verdict.risk_level] > RISK_ORDER[alert.risk_level]
    return replace(
        alert,
        state="continued",
        risk_level=max_risk([alert.risk_level, verdict.risk_level]) or alert.risk_level,
        description=verdict.description if worse else alert.description,
        task_id=verdict.task_id if worse else alert.task_id,
        updated_at=verdict.times.captured_at,
        confirmations=alert.confirmations + 1,
        box=verdict.group.box,
        track_ids=verdict.group.track_ids or alert.track_ids,
        group_id=verdict.group.group_id,
    )


def _resolved(alert: Alert, at: float) -> Alert:
    return replace(alert, state="resolved", updated_at=at, resolved_at=at)


def _put(book: AlertBook, alert: Alert) -> tuple[AlertBook, tuple[Alert, ...]]:
    others = tuple(
        a
        for a in book.alerts
        if a.alert_id != alert.alert_id
        and (a.state != "resolved" or alert.updated_at - a.updated_at <= RESOLVED_KEPT_S)
    )
    return AlertBook(alerts=(alert, *others)[:ALERTS_KEPT]), (alert,)
