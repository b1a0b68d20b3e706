"""Which offset may be committed: a pure ledger, so that the rule can be tested as a dialogue.

The rule: an offset is acked when it and all earlier ones of its partition and generation are finished. A jump in the
offsets is never an ack; only a hole that reading again has proved to be in the log itself is passed over.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)  # a topic's partition


class PartitionLedger:
    """One partition in one generation. Offsets below ``committable`` are done with.

    Offsets are taken strictly in order: what stands behind a hole is refused, and read again after it. So a stage
    never sees a camera's messages out of order, not even when Faust has dropped one of them.
    """

    __slots__ = ("_finished", "_holes", "_refused", "_running", "committable", "newest")

    def __init__(self, committable: int, done: Iterable[int] = ()) -> None:
        """``done``: offsets behind ``committable`` that were finished before, by whoever had the partition then."""
        self.committable = committable
        self.newest = committable - 1  # the highest offset taken or proved not to exist
        self._running: dict[int, float] = {}  # offset: the message's time stamp
        self._finished = {offset for offset in done if offset > committable}
        self._holes: dict[int, int] = {}  # first offset that the log does not have: the next that it has
        self._refused = False

    def take(self, offset: int, timestamp: float = 0.0) -> bool:
        """Start work on ``offset``; False where that has happened before (read twice, worked on once), and where
        something before it has not been taken (see ``missing``)."""
        if offset < self.committable or offset in self._running:
            return False
        if offset > self.newest + 1:
            self._refused = True
            return False
        if offset == self.newest + 1:
            self.newest, self._refused = offset, False
        if offset in self._finished:
            return False
        self._running[offset] = timestamp
        return True

    def finish(self, offset: int) -> list[int]:
        """Work on ``offset`` has ended; returns the offsets that are acked by that, in order."""
        if self._running.pop(offset, None) is None or offset < self.committable:
            return []
        self._finished.add(offset)
        return self._advance()

    def give_back(self, offset: int) -> None:
        """Work on ``offset`` was broken off: it has to be taken again."""
        self._running.pop(offset, None)

    def refuse(self) -> None:
        """What follows ``newest`` got lost on the way: it is ``missing``."""
        self._refused = True

    def missing(self) -> int | None:
        """The first offset that has to be read again: broken off, or passed over; None where there is none."""
        at = self.committable
        while at <= self.newest and (at in self._running or at in self._finished or at in self._holes):
            at = self._holes.get(at, at + 1)
        return at if at <= self.newest or self._refused else None

    def skip(self, start: int, end: int) -> list[int]:
        """Reading from ``start`` on gave ``end`` first: the log has nothing between. Returns what is acked by that."""
        if end <= start or start < self.committable or start in self._running or start in self._finished:
            return []
        self._holes[start] = end
        self.newest = max(self.newest, end - 1)
        return self._advance()

    def oldest(self) -> float | None:
        """Time stamp of the message at ``committable`` while it is worked on."""
        return self._running.get(self.committable)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def done(self) -> frozenset[int]:
        """Finished offsets behind ``committable``."""
        return frozenset(self._finished)

    def _advance(self) -> list[int]:
        acked = []
        while True:
            if self.committable in self._finished:
                self._finished.remove(self.committable)
                acked.append(self.committable)
                self.committable += 1
            elif self.committable in self._holes:
                self.committable = self._holes.pop(self.committable)
            else:
                self.newest = max(self.newest, self.committable - 1)  # what was done before may not have been read yet
                return acked


class OffsetLedger(Generic[P]):
    """The partitions that this worker owns. What belongs to a closed or older generation is refused or ignored."""

    def __init__(self) -> None:
        self._open: dict[P, tuple[int, PartitionLedger]] = {}

    def open(self, partition: P, generation: int, committed: int, done: Iterable[int] = ()) -> None:
        """Begin a generation at ``committed``, the next offset to read, with what is ``done`` behind it; nothing
        changes where it is open already."""
        held = self._open.get(partition)
        if held is None or held[0] != generation:
            self._open[partition] = generation, PartitionLedger(committed, done)

    def close(self, partitions: Iterable[P]) -> None:
        """The partitions are revoked: what still runs can no longer be acked."""
        for partition in partitions:
            self._open.pop(partition, None)

    def take(self, partition: P, generation: int, offset: int, timestamp: float = 0.0) -> bool:
        ledger = self.ledger(partition, generation)
        return ledger is not None and ledger.take(offset, timestamp)

    def finish(self, partition: P, generation: int, offset: int) -> list[int]:
        ledger = self.ledger(partition, generation)
        return ledger.finish(offset) if ledger else []

    def give_back(self, partition: P, generation: int, offset: int) -> None:
        ledger = self.ledger(partition, generation)
        if ledger:
            ledger.give_back(offset)

    def ledger(self, partition: P, generation: int) -> PartitionLedger | None:
        held = self._open.get(partition)
        return held[1] if held and held[0] == generation else None

    def get(self, partition: P) -> PartitionLedger | None:
        """The partition's books, whatever the generation."""
        held = self._open.get(partition)
        return held[1] if held else None

    def __getitem__(self, partition: P) -> PartitionLedger:
        return self._open[partition][1]

    def __iter__(self) -> Iterator[P]:
        return iter(list(self._open))

    def __contains__(self, partition: object) -> bool:
        return partition in self._open
