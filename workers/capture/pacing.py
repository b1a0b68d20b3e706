"""When: which frames are due at a wanted rate, and how long to wait before another try. Pure; time is an argument."""

from __future__ import annotations

import threading
import time

EARLY = 0.1  # of a period. A camera's jitter must not cost a frame; larger would let bursts through


class Pace:
    """Picks the frames that are due when ``fps`` a second are wanted of a faster source.

    >>> pace = Pace(2.0)
    >>> [t / 10 for t in range(12) if pace.due(t / 10)]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._next: float | None = None

    def due(self, t: float) -> bool:
        """Whether a frame at ``t`` seconds is wanted. Does not drift, and does not catch up on what was missed."""
        if self._next is None:
            self._next = t
        if t < self._next - EARLY * self._period:
            return False
        self._next += self._period
        if self._next <= t:
            self._next = t + self._period
        return True


def backoff_s(attempt: int, chance: float, *, first_s: float = 0.5, max_s: float = 30.0) -> float:
    """Seconds before try number ``attempt`` (from 0): doubled each time, between half and all of it by ``chance``.

    ``chance`` (0..1) spreads the cameras of a switch that went down and up, so that they do not return as one.
    """
    return min(max_s, first_s * 2 ** min(attempt, 30)) * (0.5 + chance / 2)


def wait_until(at: float, stop: threading.Event) -> None:
    """Block a thread until ``at`` (of ``time.monotonic``) or until ``stop`` is set."""
    delay = at - time.monotonic()
    if delay > 0:
        stop.wait(delay)
