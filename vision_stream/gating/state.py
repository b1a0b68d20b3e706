"""What the gate remembers of one camera. Small: it is written whole, once a detection."""

from __future__ import annotations

from msgspec import Struct

from vision_stream.messages import Box, Detection, RiskLevel

SESSIONS_KEPT = 4  # a capture worker's last runs; their detections may still be replayed
GROUPS_KEPT = 50
TRACKS_KEPT = 200
POSITION_KEPT_S = 3.0  # for a speed; over a longer gap it says little about now
EARLY_KEPT = 20


class Judged(Struct, frozen=True, kw_only=True):
    """How a group looked when it was sent, and what came back."""

    task_id: str
    at: float  # captured_at of the frame that was sent
    box: Box
    track_ids: tuple[int, ...]
    label_counts: dict[str, int]
    verdict: RiskLevel | None = None
    answered: bool = False  # an outcome is in; without a verdict it was a failed or expired one


class RememberedGroup(Struct, frozen=True, kw_only=True):
    box: Box
    track_ids: tuple[int, ...]
    seen_at: float
    judged: Judged | None = None


class Position(Struct, frozen=True, array_like=True):
    """Where a tracked object's centre was, in pixels."""

    track_id: int
    x: float
    y: float
    at: float


class Early(Struct, frozen=True, array_like=True):
    """A verdict on a task whose detection has still to be decided again. After a kill the task may be there, judged
    and joined, before the replay has written the row that remembers it."""

    task_id: str
    verdict: RiskLevel | None


class CameraGate(Struct, frozen=True, kw_only=True):
    session: str = ""
    sequence: int = -1  # the last one handled in that session
    past_sessions: tuple[str, ...] = ()
    last_request_at: float | None = None
    groups: tuple[RememberedGroup, ...] = ()
    positions: tuple[Position, ...] = ()
    early: tuple[Early, ...] = ()


def handled(state: CameraGate, detection: Detection) -> bool:
    """Has this detection been decided before? A session's detections arrive in the order of their sequence."""
    if detection.session == state.session:
        return detection.sequence <= state.sequence
    return detection.session in state.past_sessions


def is_ahead(state: CameraGate, task_id: str) -> bool:
    """Is the task's detection one that this state has not handled?"""
    session, _, sequence = task_id.rpartition("/")[0].rpartition(":")
    session = session.rpartition(":")[2]
    if session == state.session:
        return sequence.isdigit() and int(sequence) > state.sequence
    return session not in state.past_sessions


def positions_of(detection: Detection, before: tuple[Position, ...]) -> tuple[Position, ...]:
    """The newest position of each track, also of those that went out of sight a moment ago."""
    at = detection.times.captured_at
    now = tuple(
        Position(o.track_id, round((o.box.x1 + o.box.x2) / 2, 1), round((o.box.y1 + o.box.y2) / 2, 1), at)
        for o in detection.objects
        if o.track_id is not None
    )
    seen = {p.track_id for p in now}
    hidden = tuple(p for p in before if p.track_id not in seen and abs(at - p.at) <= POSITION_KEPT_S)
    return (now + hidden)[:TRACKS_KEPT]
