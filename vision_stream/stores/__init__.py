"""What lies beside the messages: small protocols, each with a memory and a Redis adapter held to one suite.

    EvidenceStore    a group's picture, by key, until its time to live ends
    FrameStore       a camera's newest frame, for the dashboard
    AssessmentCache  a camera's latest assessment, its last alerts, and the channel that announces them

A Redis that goes away is no error of the caller's: adapters answer as if the thing were not there, count it in
``metrics.redis_errors`` and log the change of state once. ``put`` says whether it was kept.
"""

from __future__ import annotations

from typing import Protocol

from vision_stream.messages import Alert


class EvidenceStore(Protocol):
    async def put(self, key: str, jpeg: bytes, *, ttl_s: float) -> bool: ...

    async def get(self, key: str) -> bytes | None: ...

    async def delete(self, *keys: str) -> None:
        """Forget these before their time; what is not there is no error."""
        ...


class FrameStore(Protocol):
    async def put(self, camera_id: str, jpeg: bytes, *, ttl_s: float) -> bool: ...

    async def latest(self, camera_id: str) -> bytes | None: ...

    async def delete(self, camera_id: str) -> None:
        """Forget its frame before its time."""
        ...


class AssessmentCache(Protocol):
    async def put_latest(self, camera_id: str, payload: bytes, *, ttl_s: float) -> bool:
        """Keep the camera's latest assessment under ``camera:{id}:latest``."""
        ...

    async def latest(self, camera_id: str) -> bytes | None: ...

    async def record_alert(self, alert: Alert) -> bool:
        """Keep it in ``alerts:{id}``, newest first; the same alert id replaces its row."""
        ...

    async def alerts(self, camera_id: str, *, limit: int = 100) -> list[Alert]: ...

    async def announce(self, camera_id: str, payload: bytes) -> bool:
        """Publish on the channel ``camera:{id}``."""
        ...
