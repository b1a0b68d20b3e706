"""Open the stores that the settings ask for: Redis where it is enabled, else this process's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vision_stream.settings import Settings
from vision_stream.stores import AssessmentCache, EvidenceStore, FrameStore
from vision_stream.stores.cache import MemoryCache, RedisCache
from vision_stream.stores.evidence import MemoryEvidence, RedisEvidence
from vision_stream.stores.frames import MemoryFrames, RedisFrames

if TYPE_CHECKING:
    from vision_stream.stores.redis_link import RedisLink


@dataclass(frozen=True)
class Stores:
    evidence: EvidenceStore
    frames: FrameStore
    cache: AssessmentCache
    redis: RedisLink | None = None  # None: all in memory, seen by this process alone

    async def close(self) -> None:
        if self.redis is not None:
            await self.redis.close()


def open_stores(settings: Settings) -> Stores:
    """The stores; needs no Redis yet, because a Redis that is away is no error of theirs.

    Raises:
        ConfigError: ``redis.url`` is not a Redis URL.
    """
    kept = settings.redis.alerts_kept
    if not settings.redis_enabled:
        return Stores(MemoryEvidence(), MemoryFrames(), MemoryCache(alerts_kept=kept))
    from vision_stream.stores.redis_link import RedisLink  # the client is 0.2 s of imports, for those who use it

    link = RedisLink(settings.redis.url, timeout_s=settings.redis.timeout_s)
    return Stores(RedisEvidence(link), RedisFrames(link), RedisCache(link, alerts_kept=kept), redis=link)
