"""A camera's newest frame (JPEG) for the dashboard: memory, or Redis under ``frame:{camera}``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from vision_stream.stores.expiring import ExpiringBytes

if TYPE_CHECKING:
    from vision_stream.stores.redis_link import RedisLink

MAX_CAMERAS = 1000
MAX_BYTES = 128 * 2**20  # a 640 px frame is 40 to 100 KB


class MemoryFrames:
    def __init__(
        self, *, max_cameras: int = MAX_CAMERAS, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._frames = ExpiringBytes(max_items=max_cameras, max_bytes=max_bytes, clock=clock)

    async def put(self, camera_id: str, jpeg: bytes, *, ttl_s: float) -> bool:
        return self._frames.put(camera_id, jpeg, ttl_s=ttl_s)

    async def latest(self, camera_id: str) -> bytes | None:
        return self._frames.get(camera_id)

    async def delete(self, camera_id: str) -> None:
        self._frames.drop(camera_id)


class RedisFrames:
    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def put(self, camera_id: str, jpeg: bytes, *, ttl_s: float) -> bool:
        ttl_ms = math.ceil(ttl_s * 1000)
        return bool(await self._link.call("frames", lambda redis: redis.set(f"frame:{camera_id}", jpeg, px=ttl_ms)))

    async def latest(self, camera_id: str) -> bytes | None:
        return await self._link.read("frames", f"frame:{camera_id}")

    async def delete(self, camera_id: str) -> None:
        await self._link.call("frames", lambda redis: redis.unlink(f"frame:{camera_id}"))
