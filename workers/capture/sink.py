"""Where a capture worker's detections go. In process, whoever implements ``Sink``; over Kafka, ``kafka_sink``."""

from __future__ import annotations

from typing import Protocol

from vision_stream.messages import CameraStatus, Detection


class Sink(Protocol):
    """Takes what a camera has to say; may take its time in ``detection``, which holds up that camera alone.

    A sink whose ``counts_deliveries`` is true counts them in ``camera_metrics`` itself, once they are confirmed; for
    any other the worker does when ``detection`` returns.
    """

    async def detection(self, detection: Detection, /) -> None: ...

    async def status(self, status: CameraStatus, /) -> None: ...
