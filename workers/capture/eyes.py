"""What is done with the objects found in one frame, all in one go: track, place, group, take pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from vision_stream.clustering import group_objects
from vision_stream.group_identity import Identities, identify
from vision_stream.messages import DetectedObject, Group
from vision_stream.settings import ClusteringSettings
from vision_stream.zones import Zones
from workers.capture.evidence import picture_limit
from workers.capture.pacing import Pace
from workers.capture.pictures import encode_within, frame_jpeg, group_picture
from workers.capture.sources.base import Frame
from workers.capture.tracking import Tracker

FRAME_EVERY_S = 0.2  # a fast camera's newest picture is for eyes; more would cost it a tenth of its speed


@dataclass(frozen=True)
class Observation:
    objects: tuple[DetectedObject, ...]
    groups: tuple[Group, ...]  # without evidence yet
    pictures: tuple[bytes | None, ...]  # JPEG of each group; None: it could not be made small enough
    frame_jpeg: bytes | None  # the newest frame for the dashboard; None: the last one is new enough
    done_at: float  # seconds since the epoch


class Eyes:
    """One camera's, which it asks for one frame at a time."""

    def __init__(
        self,
        clustering: ClusteringSettings,
        *,
        fps: float,
        inline: bool,
        zones: Zones | None = None,
    ) -> None:
        """``inline``: pictures will travel in the message, and so have to share its size."""
        self._clustering = clustering
        self._fps = fps
        self._inline = inline
        self._zones = zones or Zones()
        self._identities = Identities()
        self._frame_due = Pace(1 / FRAME_EVERY_S)
        self._tracker: Tracker | None = None  # made on first use: it takes 1.5 s, and this is the thread for that

    def observe(self, frame: Frame, seen: Sequence[DetectedObject]) -> Observation:
        """``seen``: what the detector found in ``frame``."""
        if self._tracker is None:
            self._tracker = Tracker(self._fps)
        height, width = frame.image.shape[:2]
        # All are tracked, so that one who walks through a zone to exclude comes out of it with the same id.
        tracked = self._tracker.update(seen, frame.media_s)
        objects, places = self._zones.place(tracked, width=width, height=height)
        clusters = group_objects(objects, height, self._clustering, places)
        self._identities, groups = identify(self._identities, clusters, frame.captured_at)
        limit = picture_limit(len(groups), inline=self._inline)
        return Observation(
            objects=objects,
            groups=groups,
            pictures=tuple(encode_within(group_picture(frame.image, group.box), limit) for group in groups),
            frame_jpeg=frame_jpeg(frame.image) if self._frame_due.due(frame.captured_at) else None,
            done_at=time.time(),
        )
