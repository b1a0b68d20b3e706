"""What is done with the objects found in one frame, all in one go: track, place, group, take pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from vision_stream.clustering import group_objects
from vision_stream.group_identity import Identities, identify
from vision_stream.messages import DetectedObject, Group, NoEvidence
from vision_stream.redaction import mask
from vision_stream.settings import ClusteringSettings
from vision_stream.zones import Zones
from workers.capture.evidence import picture_limit
from workers.capture.pacing import Pace
from workers.capture.pictures import encode_within, frame_jpeg, frame_picture, group_picture
from workers.capture.privacy import Redactor
from workers.capture.sources.base import Frame, Picture
from workers.capture.tracking import Tracker

_log = structlog.get_logger(__name__)
TOO_LARGE = NoEvidence(reason="the picture is too large")
WITHHELD = NoEvidence(reason="faces or plates could not be looked for, so it is withheld")
FRAME_EVERY_S = 0.2  # a fast camera's newest picture is for eyes; more would cost it a tenth of its speed


@dataclass(frozen=True)
class Observation:
    objects: tuple[DetectedObject, ...]
    groups: tuple[Group, ...]  # without evidence yet
    pictures: tuple[bytes | NoEvidence, ...]  # JPEG of each group, or why there is none
    frame_jpeg: bytes | None  # the newest frame for the dashboard; None: the last one is new enough, or it is withheld
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
        redactor: Redactor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            inline: pictures will travel in the message, and so have to share its size.
            redactor: what a picture passes before it leaves; None: nothing is covered.
            clock: seconds; one that nobody sets back, which would hold up the dashboard's pictures.
        """
        self._clustering = clustering
        self._fps = fps
        self._inline = inline
        self._zones = zones or Zones()
        self._redactor = redactor
        self._clock = clock
        self._withholds = False
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
        pictures = [self._group_picture(frame.image, group, limit) for group in groups]
        return Observation(
            objects=objects,
            groups=tuple(self._marked(group, taken) for group, taken in zip(groups, pictures, strict=True)),
            pictures=tuple(pictures),
            frame_jpeg=self._frame_picture(frame.image) if self._frame_due.due(self._clock()) else None,
            done_at=time.time(),
        )

    def _group_picture(self, image: Picture, group: Group, limit: int) -> bytes | NoEvidence:
        shown = self._redacted(group_picture(image, group.box))
        return WITHHELD if shown is None else encode_within(shown, limit) or TOO_LARGE

    def _frame_picture(self, image: Picture) -> bytes | None:
        shown = self._redacted(frame_picture(image))
        return None if shown is None else frame_jpeg(shown)

    def _marked(self, group: Group, taken: bytes | NoEvidence) -> Group:
        if self._redactor is None or isinstance(taken, NoEvidence):
            return group
        return replace(group, redacted=self._redactor.kinds)

    def _redacted(self, picture: Picture) -> Picture | None:
        """``picture`` as it may leave; None: it may not. That is said once, until it works again."""
        if self._redactor is None:
            return picture
        try:
            shown = self._redactor.redact(picture)
        except Exception as error:  # a model's own errors have no common base
            if not self._withholds:
                _log.error("picture cannot be redacted and is withheld", error=mask(f"{type(error).__name__}: {error}"))
            self._withholds = True
            return None
        self._withholds = False
        return shown
