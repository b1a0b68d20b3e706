"""I4: what sessions of the gateway were pushed, against what ``camera_assessments`` holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vision_stream.audit.decoded import Decoded
from vision_stream.audit.facts import Facts, PushId
from vision_stream.audit.findings import Notes
from vision_stream.messages import Alert, CameraMessage

PUSHED_WITHIN_S = 10.0  # of a record's time stamp; the gateway itself drops a session that is so far behind


def check_pushes(facts: Facts, decoded: Decoded, notes: Notes) -> None:
    """Each join and each state of an alert: pushed once to each session that was there."""
    if facts.sessions is None:
        return notes.cannot("I4", "no session of the gateway was watched (--gateway)")
    recorded = dict(_first_records(decoded))
    begin = facts.begin("camera_assessments")
    for session in facts.sessions:
        pushed = Counter(push.id for push in session.pushes)
        for push_id, times in pushed.items():
            notes.checked["I4"] += 1
            if times > 1:
                notes.find("I4", push_id.id, f"{push_id}: was pushed {times} times to one session")
        for push in session.pushes:
            if push.id not in recorded and push.said_at > max(begin, session.begun):
                notes.find("I4", push.id.id, f"{push.id}: was pushed, and is in no topic")
        for push_id, at in recorded.items():
            if session.begun + PUSHED_WITHIN_S < at < session.ended - PUSHED_WITHIN_S and push_id not in pushed:
                notes.find("I4", push_id.id, f"{push_id}: was not pushed to a session that was there")
    return None


def push_id(message: CameraMessage) -> PushId:
    """By what the gateway knows a message again."""
    if isinstance(message, Alert):
        return PushId(message.alert_id, f"{message.state} at {message.updated_at:.3f}")
    return PushId(message.request_id, "complete" if message.complete else "partial")


def said_at(message: CameraMessage) -> float:
    """Epoch seconds; no later than its record's time stamp."""
    if isinstance(message, Alert):
        return message.updated_at
    return message.times.captured_at


def _first_records(decoded: Decoded) -> Iterator[tuple[PushId, float]]:
    """Each message that a gateway pushes, and when it was first there; what came again it passes over."""
    seen: set[PushId] = set()
    for entry, message in decoded.messages["camera_assessments"]:
        known = push_id(message)
        superseded = known.state == "partial" and PushId(known.id, "complete") in seen
        if known not in seen and not superseded:
            yield known, entry.timestamp
        seen.add(known)
