"""Stable ids for what is seen again: an adapter from our objects to ByteTrack of the package ``trackers`` and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from vision_stream.clustering import PEOPLE
from vision_stream.messages import DetectedObject

KEPT_S = 3.0  # how long something may be out of sight and keep its id
SURE = 0.4  # confidence from which an unknown object starts a track; a weaker one only continues its own


class Tracker:
    """Ids of one camera, unique in the life of this object.

    People and the rest are tracked apart, so that someone who steps out of a car does not take over its id; among
    vehicles the label may flicker from frame to frame without an effect. An object gets its id when it is seen the
    second time.
    """

    def __init__(self, fps: float) -> None:
        self._families = (_byte_track(fps), _byte_track(fps))  # people, others
        self._period = 1.0 / fps
        self._now = 0.0
        self._shift: float | None = None

    def update(self, objects: Sequence[DetectedObject], media_s: float) -> tuple[DetectedObject, ...]:
        """The same objects in the same order, with ``track_id`` where one is known.

        ``media_s``: seconds on the source's clock. It may fall where the source was opened again; the tracks then
        go on as if one frame had passed.
        """
        now = self._advance(media_s)
        is_person = [found.label.casefold() in PEOPLE for found in objects]
        ids: list[int | None] = [None] * len(objects)
        for family, tracker in enumerate(self._families):
            places = [place for place, person in enumerate(is_person) if person == (family == 0)]
            for place, track in _tracks(tracker, [objects[place] for place in places], now).items():
                ids[places[place]] = len(self._families) * track + family
        return tuple(msgspec.structs.replace(found, track_id=track) for found, track in zip(objects, ids, strict=True))

    def _advance(self, media_s: float) -> float:
        if self._shift is None:
            self._shift = -media_s
        if media_s + self._shift <= self._now:
            self._shift = self._now + self._period - media_s
        self._now = media_s + self._shift
        return self._now


def overlap_margin(fps: float) -> float:
    """By which share of its size a box is enlarged on each side before overlaps are compared.

    At 2 frames a second a car has moved by more than its own length, and plain overlap loses it; at 10 the margin
    would only mix up neighbours. Fewest id switches on simulated junctions and highways with truth: 0.7 at 2, 0.2 at
    5, none at 10.

    >>> [round(overlap_margin(fps), 2) for fps in (0.5, 2, 5, 16)]
    [0.9, 0.7, 0.22, 0.0]
    """
    return min(0.9, max(0.0, 1.6 / fps - 0.1))


def _byte_track(fps: float) -> Any:
    from trackers import ByteTrackTracker  # takes 1.5 s
    from trackers.utils.iou import BIoU

    return ByteTrackTracker(
        lost_track_buffer=round(KEPT_S * 30),  # counted in frames of 1/30 s, whatever the frame rate
        frame_rate=fps,
        track_activation_threshold=SURE,
        high_conf_det_threshold=SURE,
        minimum_consecutive_frames=1,
        iou=BIoU(overlap_margin(fps)),
    )


def _tracks(tracker: Any, objects: list[DetectedObject], now: float) -> dict[int, int]:
    """Index in ``objects`` to track id, for those that have one."""
    import supervision

    boxes = np.array([(o.box.x1, o.box.y1, o.box.x2, o.box.y2) for o in objects], dtype=np.float64).reshape(-1, 4)
    found = tracker.update(
        supervision.Detections(
            xyxy=boxes,
            confidence=np.array([o.confidence for o in objects], dtype=np.float64),
            class_id=np.arange(len(objects)),  # comes back in another order: this says which is which
        ),
        timestamp=now,
    )
    if len(found) == 0:
        return {}
    pairs = zip(found.class_id.tolist(), found.tracker_id.tolist(), strict=True)
    return {place: track for place, track in pairs if track >= 0}
