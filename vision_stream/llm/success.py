"""A key's share of answered calls in the last minutes. Pure: ``now`` is monotonic seconds, passed in."""

from __future__ import annotations

from collections import deque

BUCKETS = 30  # of 10 s each by default. More: smoother. Fewer: less to add up.


class SuccessRate:
    """Counts calls in a sliding window of ``span_s``, to a bucket's precision."""

    __slots__ = ("_buckets", "_width")

    def __init__(self, span_s: float = 300.0) -> None:
        self._width = span_s / BUCKETS
        self._buckets: deque[list[int]] = deque()  # [number of the bucket, answered, all]

    def add(self, answered: bool, now: float) -> None:
        number = int(now // self._width)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
            self._forget(now)
        self._buckets[-1][1] += answered
        self._buckets[-1][2] += 1

    def share(self, now: float) -> float:
        """From 0 to 1; 1 where nothing was called, because nothing failed."""
        self._forget(now)
        calls = sum(bucket[2] for bucket in self._buckets)
        return sum(bucket[1] for bucket in self._buckets) / calls if calls else 1.0

    def _forget(self, now: float) -> None:
        oldest = int(now // self._width) - BUCKETS + 1
        while self._buckets and self._buckets[0][0] < oldest:
            self._buckets.popleft()
