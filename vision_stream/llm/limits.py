"""Rate limits that hold in every window, not per calendar minute. Pure: ``now`` is monotonic seconds, passed in.

A ring of the last ``limit`` calls decides in one comparison: the call made ``limit`` calls ago must have left the
window. That lets a whole burst go at once and never exceeds the limit, where a token bucket with burst = limit
overshoots twofold.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

JITTER_S = 0.025  # a call's way to the provider varies. Smaller: 429s under load. Larger: more of qps_limit unused.


class SlidingWindow:
    """At most ``limit`` calls (>= 1) in any half-open window of ``span_s`` seconds.

    >>> window = SlidingWindow(limit=2, span_s=1.0)
    >>> window.take(now=10.0); window.take(now=10.5); window.free_at()
    11.0
    """

    __slots__ = ("_last", "_next", "_taken_at", "limit", "span_s")

    def __init__(self, limit: int, span_s: float) -> None:
        self.limit = limit
        self.span_s = span_s
        self._taken_at = array("d", [-math.inf]) * limit
        self._next = 0
        self._last = -math.inf

    def free_at(self) -> float:
        """When the next call may go; in the past or now: at once."""
        return self._taken_at[self._next] + self.span_s

    def take(self, now: float) -> None:
        """Book a call at ``now``. The caller has looked at ``free_at`` first."""
        self._last = max(self._last, now)
        self._taken_at[self._next] = self._last
        self._next = (self._next + 1) % self.limit

    def used(self, now: float) -> int:
        """Calls within the window that ends at ``now``."""
        return sum(1 for at in self._taken_at if at > now - self.span_s)


class KeyLimits:
    """All limits of one key: a call may go when every window has room."""

    __slots__ = ("windows",)

    def __init__(self, windows: Iterable[SlidingWindow]) -> None:
        self.windows = tuple(windows)

    def free_at(self) -> float:
        """When the next call may go; ``-inf`` where nothing is limited."""
        return max((window.free_at() for window in self.windows), default=-math.inf)

    def take(self, now: float) -> None:
        for window in self.windows:
            window.take(now)


def key_limits(qps_limit: float | None, rpm_limit: int | None, *, jitter_s: float = JITTER_S) -> KeyLimits:
    """The windows of one key's settings; None is not limited.

    A fraction of ``qps_limit`` is rounded to what fits in a second (2.5: two calls in any second); below 1 it is one
    call in ``1 / qps_limit`` seconds. ``jitter_s`` widens each window by what a call's way may vary.
    """
    windows = []
    if qps_limit is not None:
        windows.append(SlidingWindow(max(1, math.floor(qps_limit)), max(1.0, 1.0 / qps_limit) + jitter_s))
    if rpm_limit is not None:
        windows.append(SlidingWindow(rpm_limit, 60.0 + jitter_s))
    return KeyLimits(windows)
