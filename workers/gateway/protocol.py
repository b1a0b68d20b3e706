"""What travels on ``/ws``: JSON text frames, told apart by ``type``.

from a browser   subscribe, unsubscribe {cameras: [...] | "*"}, ping {id?}, pong
to a browser     connection_ack, subscribed, pong, error
                 detection_result, risk_assessment, alert, camera_status: {type, camera_id, data}
                 cameras_changed: names, zones or cameras of the configuration; GET /api/v1/cameras has them
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from vision_stream import tracing
from vision_stream.messages import (
    Alert,
    CameraAssessment,
    CameraId,
    CameraStatus,
    Detection,
    encode,
    without_picture,
)

MAX_MESSAGE_BYTES = 64 * 1024  # from a browser; 1,000 camera ids are about 20 KB
MAX_SUBSCRIPTIONS = 1000  # cameras named by one session; beyond it there is "*"

Cameras = Annotated[tuple[CameraId, ...], Meta(max_length=MAX_SUBSCRIPTIONS)] | Literal["*"]
PingId = Annotated[str, Meta(max_length=100)] | Annotated[int, Meta(ge=0, le=2**53)] | None


class Subscribe(Struct, frozen=True, tag_field="type", tag="subscribe"):
    cameras: Cameras


class Unsubscribe(Struct, frozen=True, tag_field="type", tag="unsubscribe"):
    cameras: Cameras


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    id: PingId = None


class Pong(Struct, frozen=True, kw_only=True, tag_field="type", tag="pong"):
    """From a browser all but the type may be missing."""

    id: PingId = None
    server_time: float = 0.0


ClientMessage = Subscribe | Unsubscribe | Ping | Pong


class ConnectionAck(Struct, frozen=True, kw_only=True, tag_field="type", tag="connection_ack"):
    session_id: str
    server_time: float  # epoch seconds, so that a browser can tell ages by the server's clock
    heartbeat_s: float  # the server pings the socket this often
    needs_token: bool  # whether there is something to log out of
    max_message_bytes: int = MAX_MESSAGE_BYTES


class Subscribed(Struct, frozen=True, kw_only=True, tag_field="type", tag="subscribed"):
    cameras: tuple[str, ...] | Literal["*"]


class ErrorMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    code: Literal["bad_message", "too_many_errors", "bad_subscription"]
    message: str


class CamerasChanged(Struct, frozen=True, tag_field="type", tag="cameras_changed"):
    """Of the configuration; ``GET /api/v1/cameras`` has them as they are now."""


class _Envelope(Struct, frozen=True):
    type: str
    camera_id: str
    data: msgspec.Raw


PushType = Literal["detection_result", "risk_assessment", "alert", "camera_status", "cameras_changed"]


@dataclass(frozen=True, slots=True)
class Push:
    """One message to browsers, encoded once for all of them.

    An event is kept for each session; of the others only the newest of a ``slot`` counts. ``trace`` is where in which
    trace it was made; what is sent again to a browser that comes later has none.
    """

    type: PushType
    camera_id: str
    slot: tuple[str, str]
    event: bool
    body: bytes
    request_id: str = ""  # the message's; none of an alert and a state
    trace: object | None = field(default=None, compare=False, repr=False)

    def untraced(self) -> Push:
        return self if self.trace is None else dataclasses.replace(self, trace=None)


CAMERAS_CHANGED = Push("cameras_changed", "", ("cameras_changed", ""), event=False, body=encode(CamerasChanged()))


def detection_push(detection: Detection) -> Push:
    """Without the groups' pictures, which are for the LLM."""
    if detection.groups:
        detection = replace(detection, groups=tuple(without_picture(group) for group in detection.groups))
    slot = detection.camera_id
    return _push("detection_result", slot, slot, detection, event=False, request_id=detection.detection_id)


def assessment_push(assessment: CameraAssessment) -> Push:
    slot = assessment.camera_id
    return _push("risk_assessment", slot, slot, assessment, event=True, request_id=assessment.request_id)


def alert_push(alert: Alert) -> Push:
    return _push("alert", alert.camera_id, alert.alert_id, alert, event=True)


def status_push(status: CameraStatus) -> Push:
    return _push("camera_status", status.camera_id, status.camera_id, status, event=False)


def _push(kind: PushType, camera_id: str, slot: str, data: Struct, *, event: bool, request_id: str = "") -> Push:
    body = encode(_Envelope(kind, camera_id, msgspec.Raw(encode(data))))
    return Push(kind, camera_id, (kind, slot), event, body, request_id, tracing.current())
