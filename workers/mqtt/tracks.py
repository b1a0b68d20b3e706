"""Events of one camera's tracked objects: new, update (another label or zone), end. Times are those of the frames."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from vision_stream.messages import DetectedObject, Detection
from vision_stream.zones import Zones

MAX_TRACKS = 2000  # of one camera at once; the one that was out of sight longest ends
SESSIONS_OVER = 8  # of capture workers of one camera, that still might send something late

EventType = Literal["new", "update", "end"]


class TrackedObject(Struct, frozen=True, kw_only=True):
    """An object as Frigate's events have it. What this system does not do is false or null there."""

    id: str  # camera-session-track
    camera: str
    frame_time: float  # seconds since the epoch
    label: str  # the one that it had most often
    sub_label: None = None
    score: float
    top_score: float
    false_positive: bool = False
    start_time: float
    end_time: float | None = None
    box: tuple[int, int, int, int]  # x1 y1 x2 y2, pixels of the frame
    area: int  # pixels
    current_zones: tuple[str, ...] = ()
    entered_zones: tuple[str, ...] = ()  # in the order in which it was first in them
    has_snapshot: bool = False
    has_clip: bool = False


class Event(Struct, frozen=True):
    type: EventType
    before: TrackedObject  # as it was in the event before; of the first as ``after``
    after: TrackedObject


@dataclass
class _Track:
    told: TrackedObject  # in its last event
    now: TrackedObject
    labels: Counter[str] = field(default_factory=Counter)


class TrackBook:
    """``take`` detections in their order; ``close`` where the camera is gone."""

    def __init__(self, camera_id: str, zones: Zones, *, lost_after_s: float) -> None:
        """``lost_after_s``: how long an object is out of sight before its event ends."""
        self._camera_id = camera_id
        self._zones = zones
        self._lost_after_s = lost_after_s
        self._tracks: OrderedDict[int, _Track] = OrderedDict()  # the one seen last at the end
        self._session = ""
        self._sequence = -1
        self._over: OrderedDict[str, None] = OrderedDict()

    def is_news(self, detection: Detection) -> bool:
        """False for one that was taken already, or came after a later one."""
        if detection.session == self._session:
            return detection.sequence > self._sequence
        return detection.session not in self._over

    def take(self, detection: Detection) -> list[Event]:
        """The events that follow from a detection; ``is_news`` holds."""
        events = [] if detection.session == self._session else self._begin(detection.session)
        self._sequence = detection.sequence
        _, places = self._zones.place(detection.objects, width=detection.frame_width, height=detection.frame_height)
        for found in detection.objects:
            if found.track_id is not None:
                zones = tuple(places.zones.get(found.object_id, ()))
                events += self._seen(found.track_id, found, zones, detection)
        return [*events, *self._lost(detection.times.captured_at)]

    def close(self) -> list[Event]:
        """End all."""
        events = [_ended(track) for track in self._tracks.values()]
        self._tracks.clear()
        return events

    def _begin(self, session: str) -> list[Event]:
        """Track ids of another session are others."""
        self._over[self._session] = None
        if len(self._over) > SESSIONS_OVER:
            self._over.popitem(last=False)
        self._session = session
        return self.close()

    def _seen(
        self, track_id: int, found: DetectedObject, zones: tuple[str, ...], detection: Detection
    ) -> Iterator[Event]:
        track = self._tracks.get(track_id)
        if track is None:
            first = self._first(track_id, found, zones, detection)
            self._tracks[track_id] = _Track(first, first, Counter((found.label,)))
            yield Event("new", first, first)
            return
        self._tracks.move_to_end(track_id)
        track.labels[found.label] += 1
        before = track.now
        track.now = replace(
            before,
            frame_time=detection.times.captured_at,
            label=track.labels.most_common(1)[0][0],
            score=found.confidence,
            top_score=max(before.top_score, found.confidence),
            current_zones=zones,
            entered_zones=(*before.entered_zones, *(zone for zone in zones if zone not in before.entered_zones)),
            box=_box(found),
            area=_area(found),
        )
        if (track.now.label, track.now.current_zones) != (track.told.label, track.told.current_zones):
            yield Event("update", track.told, track.now)
            track.told = track.now

    def _first(
        self, track_id: int, found: DetectedObject, zones: tuple[str, ...], detection: Detection
    ) -> TrackedObject:
        return TrackedObject(
            id=f"{self._camera_id}-{detection.session}-{track_id}",
            camera=self._camera_id,
            frame_time=detection.times.captured_at,
            label=found.label,
            score=found.confidence,
            top_score=found.confidence,
            start_time=detection.times.captured_at,
            current_zones=zones,
            entered_zones=zones,
            box=_box(found),
            area=_area(found),
        )

    def _lost(self, now: float) -> Iterator[Event]:
        while self._tracks:
            track_id, track = next(iter(self._tracks.items()))
            if now - track.now.frame_time <= self._lost_after_s and len(self._tracks) <= MAX_TRACKS:
                return
            del self._tracks[track_id]
            yield _ended(track)


def _ended(track: _Track) -> Event:
    return Event("end", track.told, replace(track.now, end_time=track.now.frame_time))


def _box(found: DetectedObject) -> tuple[int, int, int, int]:
    return round(found.box.x1), round(found.box.y1), round(found.box.x2), round(found.box.y2)


def _area(found: DetectedObject) -> int:
    x1, y1, x2, y2 = _box(found)
    return (x2 - x1) * (y2 - y1)
