"""Messages with everything filled in; a test names only what matters to it."""

from __future__ import annotations

from typing import Any

from vision_stream.messages import (
    Assessed,
    Box,
    DetectedObject,
    Detection,
    Expired,
    Failed,
    Group,
    RiskLevel,
    StageTimes,
)


def an_object(object_id: int = 0, label: str = "car", x: float = 100, y: float = 100, **fields: Any) -> DetectedObject:
    """A 40 x 40 px object centred on (x, y), with its own track."""
    box = Box(x - 20, y - 20, x + 20, y + 20)
    return DetectedObject(
        **{"object_id": object_id, "label": label, "confidence": 0.9, "box": box, "track_id": object_id, **fields}
    )


def a_group(index: int = 0, *objects: DetectedObject, **fields: Any) -> Group:
    members = objects or (an_object(0), an_object(1, x=140))
    labels = [o.label for o in members]
    whole: dict[str, Any] = {
        "index": index,
        "box": Box(
            min(o.box.x1 for o in members),
            min(o.box.y1 for o in members),
            max(o.box.x2 for o in members),
            max(o.box.y2 for o in members),
        ),
        "members": tuple(o.object_id for o in members),
        "track_ids": tuple(o.track_id for o in members if o.track_id is not None),
        "label_counts": {label: labels.count(label) for label in labels},
        "mean_confidence": 0.9,
    }
    return Group(**{**whole, **fields})


def a_detection(
    *groups: Group,
    camera_id: str = "cam-01",
    session: str = "s1",
    sequence: int = 1,
    captured_at: float = 1000.0,
    objects: tuple[DetectedObject, ...] = (),
    **fields: Any,
) -> Detection:
    return Detection(
        detection_id=f"{camera_id}:{session}:{sequence}",
        camera_id=camera_id,
        session=session,
        sequence=sequence,
        times=StageTimes(captured_at=captured_at, detected_at=captured_at + 0.02),
        frame_width=1920,
        frame_height=1080,
        objects=objects,
        groups=groups,
        **fields,
    )


def _outcome_fields(
    sequence: int, index: int, group_count: int, captured_at: float, camera_id: str, session: str
) -> dict[str, Any]:
    request_id = f"{camera_id}:{session}:{sequence}"
    return {
        "task_id": f"{request_id}/{index}",
        "request_id": request_id,
        "camera_id": camera_id,
        "group": a_group(index),
        "group_count": group_count,
        "deadline": captured_at + 30,
        "times": StageTimes(captured_at=captured_at, detected_at=captured_at, answered_at=captured_at + 2),
    }


def assessed(
    risk_level: RiskLevel = "none",
    *,
    sequence: int = 1,
    index: int = 0,
    group_count: int = 1,
    captured_at: float = 1000.0,
    camera_id: str = "cam-01",
    session: str = "s1",
    **fields: Any,
) -> Assessed:
    whole = _outcome_fields(sequence, index, group_count, captured_at, camera_id, session)
    return Assessed(**{**whole, "risk_level": risk_level, "confidence": 0.8, **fields})


def failed(
    *, sequence: int = 1, index: int = 0, group_count: int = 1, captured_at: float = 1000.0, reason: str = "500"
) -> Failed:
    return Failed(**_outcome_fields(sequence, index, group_count, captured_at, "cam-01", "s1"), reason=reason)


def expired(*, sequence: int = 1, index: int = 0, group_count: int = 1, captured_at: float = 1000.0) -> Expired:
    return Expired(**_outcome_fields(sequence, index, group_count, captured_at, "cam-01", "s1"), reason="late")
