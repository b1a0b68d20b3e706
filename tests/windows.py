"""The oracle for rate limits: counted from the times alone, knowing nothing of how they are kept."""

from __future__ import annotations

from collections.abc import Iterable


def most_in_a_window(times: Iterable[float], span_s: float) -> int:
    """The most calls in any half-open window of ``span_s`` seconds."""
    ordered = sorted(times)
    most = first = 0
    for last, at in enumerate(ordered):
        while ordered[first] + span_s <= at:
            first += 1
        most = max(most, last - first + 1)
    return most
