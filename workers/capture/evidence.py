"""A group's picture goes to the evidence store before the event that names it is sent; else it travels along."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from vision_stream.messages import Evidence, Group, InlineEvidence, NoEvidence, StoredEvidence
from vision_stream.stores import EvidenceStore

PICTURE_BYTES = 200_000  # one picture; base64 adds a third
MESSAGE_BYTES = 600_000  # all inline pictures of a message: with base64 and the rest below Kafka's 1 MB


def picture_limit(groups: int, *, inline: bool) -> int:
    """Bytes that each of ``groups`` pictures may have."""
    return min(PICTURE_BYTES, MESSAGE_BYTES // max(1, groups)) if inline else PICTURE_BYTES


class EvidenceKeeper:
    """``store`` is None where the readers of our messages cannot see it: then pictures travel in the message."""

    def __init__(self, store: EvidenceStore | None, *, ttl_s: float) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._lying: deque[tuple[float, str]] = deque()  # (expires at, key) of what may lie in the store, oldest first

    async def keep(
        self, request_id: str, groups: Sequence[Group], pictures: Sequence[bytes | NoEvidence], *, now: float
    ) -> tuple[Group, ...]:
        """The groups with their evidence; the pictures that have a key lie in the store when this returns.

        Args:
            pictures: JPEG of each group, or why there is none.
            now: seconds since the epoch.
        """
        keys = [f"{request_id}/{group.index}" for group in groups]
        self._remember(keys, now)  # before: whoever cancels this leaves pictures of which it knows
        stored = await asyncio.gather(*(self._put(key, jpeg) for key, jpeg in zip(keys, pictures, strict=True)))
        room = MESSAGE_BYTES
        complete = []
        for group, key, jpeg, lies_there in zip(groups, keys, pictures, stored, strict=True):
            evidence: Evidence
            if lies_there:
                evidence = StoredEvidence(key=key, expires_at=now + self._ttl_s)
            else:
                evidence = _inline(jpeg, room)
                room -= len(evidence.jpeg) if isinstance(evidence, InlineEvidence) else 0
            complete.append(msgspec.structs.replace(group, evidence=evidence))
        return tuple(complete)

    async def forget(self, *, now: float) -> None:
        """Delete what still lies in the store."""
        self._remember([], now)
        if self._store is not None and self._lying:
            await self._store.delete(*(key for _, key in self._lying))
        self._lying.clear()

    def _remember(self, keys: Sequence[str], now: float) -> None:
        while self._lying and self._lying[0][0] <= now:
            self._lying.popleft()
        self._lying.extend((now + self._ttl_s, key) for key in keys)

    async def _put(self, key: str, jpeg: bytes | NoEvidence) -> bool:
        if self._store is None or isinstance(jpeg, NoEvidence):
            return False
        return await self._store.put(key, jpeg, ttl_s=self._ttl_s)


def _inline(jpeg: bytes | NoEvidence, room: int) -> InlineEvidence | NoEvidence:
    if isinstance(jpeg, NoEvidence):
        return jpeg
    if len(jpeg) > room:
        return NoEvidence(reason="the message is full, and no evidence store is reachable")
    return InlineEvidence(jpeg=jpeg)
