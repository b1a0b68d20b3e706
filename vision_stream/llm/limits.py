"""Rate limits that hold in every window, not per calendar minute. Pure: ``now`` is monotonic seconds, passed in.

A ring of the last ``limit`` calls decides in one comparison: the slot of the call made ``limit`` calls ago is used
again once that call has left the window. That lets a whole burst go at once and never exceeds the limit, where a token
bucket with burst = limit overshoots twofold.

A slot is reserved when a key is chosen and stamped when the request is on its way: between the two lie a connection, a
TLS handshake, a busy loop, and the provider counts what arrives, not what was decided.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

JITTER_S = 0.025  # a request's way to the provider varies. Smaller: 429s under load. Larger: more of qps_limit unused.
PENDING_S = 60.0  # no call lives longer: a reservation that nobody stamped (a crash) holds its slot this long


class SlidingWindow:
    """At most ``limit`` calls (>= 1) in any half-open window of ``span_s`` seconds.

    >>> window = SlidingWindow(limit=2, span_s=1.0)
    >>> window.take(now=10.0); window.take(now=10.5); window.free_at()
    11.0
    """

    __slots__ = ("_next", "_sent_at", "limit", "span_s")

    def __init__(self, limit: int, span_s: float) -> None:
        self.limit = limit
        self.span_s = span_s
        self._sent_at = array("d", [-math.inf]) * limit
        self._next = 0

    def free_at(self) -> float:
        """When the next call may go; in the past or now: at once."""
        return self._sent_at[self._next] + self.span_s

    def reserve(self, now: float) -> int:
        """Take the next slot for a call that is not on its way yet. The caller has looked at ``free_at`` first."""
        slot = self._next
        self._sent_at[slot] = now + PENDING_S
        self._next = (slot + 1) % self.limit
        return slot

    def stamp(self, slot: int, now: float) -> None:
        """The call of ``slot`` went out, at the latest, at ``now``; the first stamp counts."""
        if self._sent_at[slot] > now:
            self._sent_at[slot] = now

    def take(self, now: float) -> None:
        """Reserve and stamp at once."""
        self.stamp(self.reserve(now), now)

    def used(self, now: float) -> int:
        """Calls within the window that ends at ``now``."""
        return sum(1 for at in self._sent_at if at > now - self.span_s)


Slots = tuple[int, ...]  # one a window


class KeyLimits:
    """All limits of one key: a call may go when every window has room."""

    __slots__ = ("windows",)

    def __init__(self, windows: Iterable[SlidingWindow]) -> None:
        self.windows = tuple(windows)

    def free_at(self) -> float:
        """When the next call may go; ``-inf`` where nothing is limited."""
        return max((window.free_at() for window in self.windows), default=-math.inf)

    def reserve(self, now: float) -> Slots:
        return tuple(window.reserve(now) for window in self.windows)

    def stamp(self, slots: Slots, now: float) -> None:
        for window, slot in zip(self.windows, slots, strict=True):
            window.stamp(slot, now)

    def take(self, now: float) -> None:
        """Reserve and stamp at once."""
        self.stamp(self.reserve(now), now)


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
