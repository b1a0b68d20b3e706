"""Who is told what the pipeline finds: the gateway's hub, an MQTT broker's sink, or several of them."""

from __future__ import annotations

from typing import Protocol

from vision_stream.messages import CameraMessage, CameraStatus, Detection


class Audience(Protocol):
    """Being told takes no time: whoever has somebody to wait for keeps a queue of their own."""

    async def detection(self, detection: Detection) -> None: ...

    async def status(self, status: CameraStatus) -> None: ...

    async def assessment(self, message: CameraMessage) -> None: ...
