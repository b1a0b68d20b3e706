"""What travels between the stages: frozen values, JSON on the wire.

    Detection       detection-results        key: camera id
    AssessmentTask  assessment-tasks         key: camera id
    GroupAssessment risk-assessment-results  key: camera id   Assessed | Expired | Failed, by ``outcome``
    CameraMessage   camera-assessments       key: camera id   CameraAssessment | Alert, by ``type``
    CameraStatus    camera-status            key: camera id
    CameraCommand   camera-commands          key: camera id
    DeadLetter      dead-letters             key: of the original

All times are seconds since the epoch, UTC; boxes are pixels of the frame. Unknown fields are ignored, bounds are
checked when a message is read, and ``decode`` raises ``MessageError`` and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, overload

import msgspec
from msgspec import Meta, Struct

from vision_stream.errors import MessageError

SCHEMA_VERSION = 1
MAX_OBJECTS = 1000  # a frame with more is a broken detector, not a crowd
MAX_GROUPS = 200

Id = Annotated[str, Meta(min_length=1, max_length=200)]
CameraId = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]*\Z")]
Text = Annotated[str, Meta(max_length=2000)]
Word = Annotated[str, Meta(max_length=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e7)]
Epoch = Annotated[float, Meta(ge=0, le=1e11)]
Count = Annotated[int, Meta(ge=0, le=10**12)]

RiskLevel = Literal["none", "low", "medium", "high"]
RISK_ORDER: dict[RiskLevel, int] = {"none": 0, "low": 1, "medium": 2, "high": 3}


class Box(Struct, frozen=True, array_like=True):
    """Corners in pixels of the frame, x1 <= x2 and y1 <= y2; on the wire ``[x1, y1, x2, y2]``."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (self.x1 <= self.x2 and self.y1 <= self.y2):
            raise ValueError(f"box corners out of order: {self.x1, self.y1, self.x2, self.y2}")


class DetectedObject(Struct, frozen=True, kw_only=True):
    object_id: Count  # within its detection
    label: Word
    confidence: Share
    box: Box
    track_id: Count | None = None  # stable for a camera's session, where there is a tracker


class InlineEvidence(Struct, frozen=True, kw_only=True, tag_field="kind", tag="inline"):
    jpeg: Annotated[bytes, Meta(max_length=1_000_000)]


class StoredEvidence(Struct, frozen=True, kw_only=True, tag_field="kind", tag="stored"):
    """The picture lies in the evidence store under ``key`` until ``expires_at``."""

    key: Id
    expires_at: Epoch


class NoEvidence(Struct, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    reason: Word


Evidence = InlineEvidence | StoredEvidence | NoEvidence


class Group(Struct, frozen=True, kw_only=True):
    """Objects that stand together: what one LLM call judges."""

    index: Annotated[int, Meta(ge=0, lt=MAX_GROUPS)]
    box: Box
    members: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=MAX_OBJECTS)]  # object ids
    track_ids: Annotated[tuple[Count, ...], Meta(max_length=MAX_OBJECTS)] = ()  # of the members that have one
    label_counts: dict[Word, Count]
    mean_confidence: Share
    zones: tuple[Word, ...] = ()
    group_id: Count | None = None  # the same while members move, join and leave; for a camera's session, as track ids
    evidence: Evidence = NoEvidence(reason="not taken")
    redacted: tuple[Word, ...] = ()  # what was looked for in its picture and painted over: faces, plates


class StageTimes(Struct, frozen=True, kw_only=True):
    """When each stage was done; None where a message has not passed it."""

    captured_at: Epoch
    detected_at: Epoch
    gated_at: Epoch | None = None
    called_at: Epoch | None = None  # the last LLM call's start
    answered_at: Epoch | None = None
    joined_at: Epoch | None = None


class Detection(Struct, frozen=True, kw_only=True):
    """One frame's objects and groups. ``detection_id`` is ``camera:session:sequence``, the same when sent again."""

    detection_id: Id
    camera_id: CameraId
    session: Word  # one run of a capture worker
    sequence: Count  # grows by any amount within a session
    times: StageTimes
    frame_width: Annotated[int, Meta(gt=0, le=20_000)]
    frame_height: Annotated[int, Meta(gt=0, le=20_000)]
    objects: Annotated[tuple[DetectedObject, ...], Meta(max_length=MAX_OBJECTS)] = ()
    groups: Annotated[tuple[Group, ...], Meta(max_length=MAX_GROUPS)] = ()
    model: Word = ""
    inference_s: Seconds = 0.0
    prompt_profile: Word = "default"
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if [group.index for group in self.groups] != list(range(len(self.groups))):
            raise ValueError("group indexes are not 0, 1, 2, ...: two groups would share a task id")


class AssessmentTask(Struct, frozen=True, kw_only=True):
    """One group for one LLM call. ``task_id`` is ``detection_id/group index``; ``request_id`` the detection's id."""

    task_id: Id
    request_id: Id
    camera_id: CameraId
    group: Group
    objects: Annotated[tuple[DetectedObject, ...], Meta(max_length=MAX_OBJECTS)]  # the group's members
    group_count: Annotated[int, Meta(ge=1, le=MAX_GROUPS)]  # groups of the request that became tasks
    priority: Annotated[int, Meta(ge=0, le=100)]  # 100 first
    deadline: Epoch
    times: StageTimes
    frame_width: Annotated[int, Meta(gt=0, le=20_000)]
    frame_height: Annotated[int, Meta(gt=0, le=20_000)]
    prompt_profile: Word = "default"
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


class _Outcome(Struct, frozen=True, kw_only=True, tag_field="outcome"):
    task_id: Id
    request_id: Id
    camera_id: CameraId
    group: Group  # without an inline picture: `without_picture`
    group_count: Annotated[int, Meta(ge=1, le=MAX_GROUPS)]
    deadline: Epoch
    times: StageTimes
    model: Word = ""
    key_id: Word = ""  # of the API key, never the key
    latency_s: Seconds = 0.0  # of the call that decided
    input_tokens: Count = 0
    output_tokens: Count = 0
    attempts: Count = 0  # LLM calls made for this task
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


class Assessed(_Outcome, frozen=True, kw_only=True, tag="assessed"):
    risk_level: RiskLevel
    confidence: Share
    risk_types: Annotated[tuple[Word, ...], Meta(max_length=20)] = ()
    description: Text = ""
    trigger_object_ids: Annotated[tuple[Count, ...], Meta(max_length=MAX_OBJECTS)] = ()


class Expired(_Outcome, frozen=True, kw_only=True, tag="expired"):
    """The deadline passed before a call was worth making."""

    reason: Text


class Failed(_Outcome, frozen=True, kw_only=True, tag="failed"):
    """No usable answer; ``reason`` is for the operator and holds no secret."""

    reason: Text


GroupAssessment = Assessed | Expired | Failed


def outcome_name(outcome: GroupAssessment) -> str:
    """``assessed``, ``expired`` or ``failed``, as on the wire and in metrics."""
    return str(outcome.__struct_config__.tag)


class Overdue(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="overdue"):
    """A tick from the aggregator to itself: at ``at`` something of this camera was overdue, ``request_id`` first."""

    request_id: Id  # or the id of an alert that nothing has confirmed for long
    camera_id: CameraId
    at: Epoch


class CameraAssessment(Struct, frozen=True, kw_only=True, tag_field="type", tag="risk_assessment"):
    """The join of one request: one push. ``max_risk_level`` is None where no group was assessed."""

    request_id: Id
    camera_id: CameraId
    assessments: tuple[GroupAssessment, ...]
    group_count: Annotated[int, Meta(ge=1, le=MAX_GROUPS)]
    max_risk_level: RiskLevel | None
    complete: bool  # False: the deadline passed before all outcomes were in
    times: StageTimes
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


class Alert(Struct, frozen=True, kw_only=True, tag_field="type", tag="alert"):
    """One danger on one camera, however many frames confirm it."""

    alert_id: Id
    camera_id: CameraId
    state: Literal["opened", "continued", "resolved"]
    risk_level: RiskLevel  # the highest seen
    risk_types: tuple[Word, ...] = ()
    description: Text = ""
    opened_at: Epoch
    updated_at: Epoch
    resolved_at: Epoch | None = None
    confirmations: Count = 1  # assessments that confirmed it
    task_id: Id  # of the assessment that was the worst
    box: Box
    track_ids: tuple[Count, ...] = ()
    group_id: Count | None = None  # of the group that confirmed it last
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


CameraMessage = CameraAssessment | Alert

CameraState = Literal["online", "reconnecting", "stalled", "disabled"]
CAMERA_REMOVED = "the camera is not to be watched: removed, disabled or stopped"  # the reason of its last status


class CameraStatus(Struct, frozen=True, kw_only=True):
    camera_id: CameraId
    state: CameraState
    reason: Text = ""  # never holds the source's credentials
    since: Epoch
    at: Epoch
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


class CameraCommand(Struct, frozen=True, kw_only=True):
    """That somebody started or stopped a camera over the API; it holds until the next one. See ``camera_commands``.

    A message without a value under the camera's key takes it back. None: as config/cameras.yaml has it.
    """

    camera_id: CameraId
    action: Literal["start", "stop"]
    source: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None  # never holds credentials
    name: Word | None = None
    fps: Annotated[float, Meta(gt=0, le=60)] | None = None
    prompt_profile: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    at: Epoch
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that could not be read or handled, with its bytes (base64 on the wire)."""

    topic: Word
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    error: Text
    at: Epoch
    schema_version: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION


T = TypeVar("T")
_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def encode(message: Struct) -> bytes:
    """JSON bytes of a message."""
    return _encoder.encode(message)


@overload
def decode(payload: bytes | None, kind: type[T]) -> T: ...
@overload
def decode(payload: bytes | None, kind: Any) -> Any: ...  # a union, which is no type to a type checker
def decode(payload: bytes | None, kind: Any) -> Any:
    """Read a message of type ``kind`` (a Struct or a union of them).

    Raises:
        MessageError: the bytes are not JSON, or do not fit the type; says where.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(payload if payload is not None else b"")
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"not a {_name(kind)}: {error}") from error


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def without_picture(group: Group) -> Group:
    """The group as outcomes carry it: a reference to its picture, never the picture."""
    if isinstance(group.evidence, InlineEvidence):
        return msgspec.structs.replace(group, evidence=NoEvidence(reason="travelled inline"))
    return group


def max_risk(levels: list[RiskLevel]) -> RiskLevel | None:
    """The highest of ``levels``; None of none, because nothing known is not "none"."""
    return max(levels, key=RISK_ORDER.__getitem__, default=None)
