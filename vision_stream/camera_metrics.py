"""What is counted of each camera that this process watches; gone from ``/metrics`` once the camera is.

At most twelve series a camera, so that a page of 1,000 cameras stays small: see ``benchmarks/scrape.py``. News of a
camera that is gone may still come, as the broker's confirmation of its last detections; it is counted nowhere.
"""

from __future__ import annotations

import time

from vision_stream import metrics

OF_A_CAMERA = (
    metrics.detections,
    metrics.frames_captured,
    metrics.frames_inferred,
    metrics.frames_skipped,
    metrics.camera_inference_seconds,
    metrics.last_frame,
    metrics.reconnects,
)


_watched: dict[str, CameraMetrics] = {}


class CameraMetrics:
    """One run of one camera: ``begin`` it, then count; by any thread."""

    def __init__(self, camera_id: str) -> None:
        """Where nothing was counted yet it begins at 0, so that a rate sees the first of each."""
        self.camera_id = camera_id
        self.captured = metrics.frames_captured.labels(camera_id).inc
        self.reconnected = metrics.reconnects.labels(camera_id).inc
        self.passed_over = metrics.frames_skipped.labels(camera_id, "newer frame").inc
        self._inferred = metrics.frames_inferred.labels(camera_id)
        self._inference_s = metrics.camera_inference_seconds.labels(camera_id)
        self._published = metrics.detections.labels(camera_id)

    def begin(self) -> None:
        _watched[self.camera_id] = self
        metrics.last_frame.labels(self.camera_id).set_to_current_time()

    def end(self) -> None:
        """In order: nobody misses its frames from now on; its counts stay until ``forget``."""
        metrics.last_frame.remove(self.camera_id)

    def newest(self, captured_at: float) -> None:
        """The newest frame was read at ``captured_at`` (epoch seconds)."""
        metrics.last_frame.labels(self.camera_id).set(captured_at)

    def inferred(self, seconds: float) -> None:
        self._inferred.inc()
        self._inference_s.inc(seconds)

    def published(self, captured_at: float) -> None:
        """A detection has arrived whose frame was read at ``captured_at`` (epoch seconds)."""
        self._published.inc()
        metrics.detection_latency.observe(max(0.0, time.time() - captured_at))

    def skipped(self, reason: str) -> None:
        """For another reason than a newer frame."""
        metrics.frames_skipped.labels(self.camera_id, reason).inc()


def of(camera_id: str) -> CameraMetrics | None:
    """None: this process does not watch the camera, or no more."""
    return _watched.get(camera_id)


def forget(camera_id: str) -> None:
    """The camera is none of this process any more."""
    _watched.pop(camera_id, None)
    for family in OF_A_CAMERA:
        family.remove_by_labels({"camera": camera_id})
