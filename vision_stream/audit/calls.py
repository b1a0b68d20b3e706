"""I8: the calls that arrived at the provider, counted from their times alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from vision_stream.audit.facts import Facts
from vision_stream.audit.findings import Notes
from vision_stream.llm.limits import spans
from vision_stream.settings import Settings


def check_calls(facts: Facts, settings: Settings, notes: Notes) -> None:
    if facts.calls is None:
        return notes.cannot("I8", "no call log was given (--llm-calls)")
    times: dict[str, list[float]] = defaultdict(list)
    for call in facts.calls:
        times[call.key].append(call.at)
    notes.counts["llm_calls"] += len(facts.calls)
    for key in settings.llm.keys:
        for limit, span_s in spans(key.qps_limit, key.rpm_limit, jitter_s=0.0):
            notes.checked["I8"] += 1
            most, at = busiest(times.get(key.id, ()), span_s)
            if most > limit:
                notes.find("I8", key.id, f"{most} calls in {span_s:g} s, allowed are {limit}; from {at:.3f} on")
    return None


def busiest(times: Iterable[float], span_s: float) -> tuple[int, float]:
    """The most calls in any half-open window of ``span_s`` seconds, and when that window begins.

    >>> busiest([0.0, 0.5, 0.9, 1.0, 5.0], span_s=1.0)
    (3, 0.0)
    """
    ordered = sorted(times)
    most, begin, first = 0, 0.0, 0
    for last, at in enumerate(ordered):
        while ordered[first] + span_s <= at:
            first += 1
        if last - first + 1 > most:
            most, begin = last - first + 1, ordered[first]
    return most, begin
