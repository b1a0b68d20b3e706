"""Frames that one step of the way fails on: each is counted and left out, which is said once until the step works."""

from __future__ import annotations

import structlog

from vision_stream.camera_metrics import CameraMetrics
from vision_stream.redaction import mask

_log = structlog.get_logger(__name__)


class LeftOut:
    """Of one camera and one ``step``, which names itself in the log and as the reason that is counted."""

    def __init__(self, step: str, counts: CameraMetrics) -> None:
        self._step = step
        self._counts = counts
        self._fails = False

    def failed(self, error: Exception) -> None:
        self._counts.skipped(f"{self._step} failed")
        if not self._fails:
            what = mask(f"{type(error).__name__}: {error}")
            _log.error(
                f"{self._step} failed, frame left out", camera=self._counts.camera_id, error=what, exc_info=error
            )
        self._fails = True

    def worked(self) -> None:
        if self._fails:
            _log.info(f"{self._step} works again", camera=self._counts.camera_id)
        self._fails = False
