"""Bytes by key in memory, each until its time to live ends, bounded in number and size: the oldest goes first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class ExpiringBytes:
    def __init__(self, *, max_items: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._items: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # key: (expires at, value), oldest put first
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._clock = clock
        self.size = 0  # bytes held

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Keep ``value``, dropping the oldest to make room; False if it alone is too large."""
        self.drop(key)
        if len(value) > self._max_bytes or ttl_s <= 0:
            return False
        now = self._clock()
        self._items[key] = (now + ttl_s, value)
        self.size += len(value)
        while len(self._items) > self._max_items or self.size > self._max_bytes or self._oldest_expired(now):
            self.drop(next(iter(self._items)))
        return True

    def get(self, key: str) -> bytes | None:
        expires_at, value = self._items.get(key, (0.0, None))
        if value is None:
            return None
        if self._clock() >= expires_at:
            self.drop(key)
            return None
        return value

    def _oldest_expired(self, now: float) -> bool:
        expires_at, _ = next(iter(self._items.values()))
        return now >= expires_at

    def drop(self, key: str) -> None:
        """Forget it, if it is there."""
        _, value = self._items.pop(key, (0.0, b""))
        self.size -= len(value)
