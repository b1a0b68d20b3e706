"""Views of a worker in, trouble out. Knows no clock: the time is an argument, and only observed time counts, so that
neither a suspended process nor a clock that is set is taken for trouble.

What is no trouble, however long it lasts:
    the brokers do not answer           all waits begin anew when they do
    a message that may take its time    as a task that waits for an API key until its deadline
    a queue before a busy stage         as long as the stage gets something done
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Literal, NamedTuple

from vision_stream.watchdog.view import Partition, StageView, View

Kind = Literal["stalled", "wedged", "recovery", "group", "loop"]
KINDS: tuple[Kind, ...] = ("stalled", "wedged", "recovery", "group", "loop")

MARGIN_S = 5.0  # past what a message may take: for the delivery of its outcome
REBALANCE_S = 60.0  # Faust's broker_rebalance_timeout: so long the group waits for another member, besides
NO_STAGE = StageView(0, True, 0.0)


class Trouble(NamedTuple):
    kind: Kind
    what: str
    for_s: float  # without progress
    left_s: float  # until the worker has to end; not above 0: now

    def __str__(self) -> str:
        return f"{self.what} for {self.for_s:.0f} s"


class Unchanged:
    """For how long a thing has had its value."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def for_s(self, what: Hashable, value: Hashable, now: float) -> float:
        known = self._seen.get(what)
        if known is None or known[0] != value:
            self._seen[what] = value, now
            return 0.0
        return now - known[1]

    def clear(self) -> None:
        self._seen.clear()


class Judge:
    """Looks again and again.

    Args:
        after_s: without progress before the worker has to end.
        step_s: the longest that can lie between two looks unless the process itself stood still.
    """

    def __init__(self, after_s: float, step_s: float) -> None:
        self._after_s, self._step_s = after_s, step_s
        self._now = self._last = 0.0  # observed time; when the last look was
        self._looked = False
        self._loop, self._group, self._recovery = Unchanged(), Unchanged(), Unchanged()
        self._partitions, self._stages = Unchanged(), Unchanged()

    def look(self, view: View, now: float) -> list[Trouble]:
        """What stands still, the most urgent first; ``now`` is monotonic."""
        self._now += min(max(now - self._last, 0.0), self._step_s) if self._looked else 0.0
        self._last, self._looked = now, True
        return sorted(self._troubles(view), key=lambda trouble: trouble.left_s)

    def _troubles(self, view: View) -> Iterator[Trouble]:
        beatless_s = self._loop.for_s("beat", view.beat, self._now)
        if beatless_s > self._step_s:
            yield self._trouble("loop", "the event loop has not run", beatless_s)
            return  # the rest of the view is old
        if view.away is not None or not view.joined:
            for waits in (self._recovery, self._partitions, self._stages):
                waits.clear()
            if view.away is not None:
                self._group.clear()
            else:
                alone_s = self._group.for_s("joining", view.rebalances, self._now)
                yield self._trouble("group", "not in the group", alone_s, alone_s - REBALANCE_S)
            return
        self._group.clear()
        if view.recovery is not None:
            self._partitions.clear()
            stands_s = self._recovery.for_s("recovery", view.recovery, self._now)
            yield self._trouble("recovery", "recovery of the tables has not moved", stands_s)
            return
        self._recovery.clear()
        free_s = {topic: self._free_s(topic, stage) for topic, stage in view.stages.items()}
        for partition in view.partitions:
            yield from self._of(partition, view.stages.get(partition.topic, NO_STAGE), free_s.get(partition.topic))

    def _free_s(self, topic: str, stage: StageView) -> float:
        """For how long the stage has had its chance at whatever was read: it was idle time and again, or got nothing
        done. A stage that is busy now and then is free all the same; one that has a long queue is not."""
        busy_s = self._stages.for_s((topic, "busy"), self._now if stage.idle else None, self._now)
        crowded = not stage.idle and busy_s > self._after_s / 6
        free_s = self._stages.for_s((topic, "free"), crowded, self._now)
        quiet_s = self._stages.for_s((topic, "handled"), stage.handled, self._now)
        return max(0.0 if crowded else free_s, quiet_s - stage.may_take_s - MARGIN_S)

    def _of(self, partition: Partition, stage: StageView, free_s: float | None) -> Iterator[Trouble]:
        end, committed, name = partition.end, partition.committed, partition.name
        if end is None or (committed is not None and committed >= end):
            self._partitions.for_s(name, None, self._now)
            return
        silent_s = self._partitions.for_s(name, (committed,), self._now)
        running_s = self._partitions.for_s((name, "runs"), (partition.committable, partition.running), self._now)
        uncommitted = committed is not None and (partition.committable or 0) > committed
        uncommitted_s = self._partitions.for_s((name, "commits"), (committed, uncommitted), self._now)
        at = f"{name}@{committed}"
        if uncommitted and uncommitted_s >= self._after_s:
            yield self._trouble("wedged", f"{at}: done, and not committed", uncommitted_s)
        elif partition.running:
            late_s = self._after_s + running_s - max(self._after_s, stage.may_take_s + MARGIN_S)
            yield self._trouble("wedged", f"{at}: a handler has not ended", silent_s, min(silent_s, late_s))
        else:
            chance_s = silent_s if free_s is None else min(silent_s, free_s)
            if partition.position is not None and partition.position > (partition.committable or 0):
                yield self._trouble("wedged", f"{at}: read, and not handled", silent_s, chance_s)
            else:
                yield self._trouble("stalled", f"{at}: {end - (committed or 0)} messages not read", silent_s, chance_s)

    def _trouble(self, kind: Kind, what: str, for_s: float, counted_s: float | None = None) -> Trouble:
        return Trouble(kind, what, for_s, self._after_s - (for_s if counted_s is None else counted_s))
