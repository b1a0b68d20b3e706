"""Where a capture worker's detections go. In process, whoever implements ``Sink``; over Kafka, ``kafka_sink``."""

from __future__ import annotations

import time
from typing import Protocol

from vision_stream import metrics
from vision_stream.messages import CameraStatus, Detection


class Sink(Protocol):
    """Takes what a camera has to say; may take its time in ``detection``, which holds up that camera alone.

    A sink that has a ``counts_deliveries`` that is true calls ``count_delivery`` itself, once delivery is confirmed;
    for any other the worker does when ``detection`` returns.
    """

    async def detection(self, detection: Detection, /) -> None: ...

    async def status(self, status: CameraStatus, /) -> None: ...


def count_delivery(camera_id: str, captured_at: float) -> None:
    """Count a detection that has arrived, and how long it took since its frame was read."""
    metrics.detections.labels(camera_id).inc()
    metrics.detection_latency.observe(max(0.0, time.time() - captured_at))
