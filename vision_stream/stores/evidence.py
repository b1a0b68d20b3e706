"""A group's picture (JPEG) by its task id, until its time to live ends: memory, or Redis under ``evidence:{key}``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from vision_stream.stores.expiring import ExpiringBytes

if TYPE_CHECKING:
    from vision_stream.stores.redis_link import RedisLink

MAX_BYTES = 64 * 2**20  # of one process; 768 px JPEGs are 30 to 100 KB, so about a thousand
MAX_ITEMS = 5000
DELETED_AT_ONCE = 500  # keys of one command, so that other commands do not wait behind it


class MemoryEvidence:
    """For one process, and where no Redis is set; the oldest pictures go first when it is full."""

    def __init__(
        self, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pictures = ExpiringBytes(max_items=max_items, max_bytes=max_bytes, clock=clock)

    async def put(self, key: str, jpeg: bytes, *, ttl_s: float) -> bool:
        return self._pictures.put(key, jpeg, ttl_s=ttl_s)

    async def get(self, key: str) -> bytes | None:
        return self._pictures.get(key)

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._pictures.drop(key)


class RedisEvidence:
    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def put(self, key: str, jpeg: bytes, *, ttl_s: float) -> bool:
        ttl_ms = math.ceil(ttl_s * 1000)
        return bool(await self._link.call("evidence", lambda redis: redis.set(f"evidence:{key}", jpeg, px=ttl_ms)))

    async def get(self, key: str) -> bytes | None:
        return await self._link.read("evidence", f"evidence:{key}")

    async def delete(self, *keys: str) -> None:
        for some in (keys[at : at + DELETED_AT_ONCE] for at in range(0, len(keys), DELETED_AT_ONCE)):
            names = [f"evidence:{key}" for key in some]
            await self._link.call("evidence", lambda redis, names=names: redis.unlink(*names))
