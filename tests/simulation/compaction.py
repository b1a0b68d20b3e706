"""What the brokers' log cleaner leaves of a changelog: of each key the last record, of a deleted key in the end none.

In reality it leaves alone what is younger than ``min.compaction.lag.ms``, ten minutes, in which some recovery mends
what a zombie wrote late (decision 7). Here time is short: it leaves alone what stands behind a late row that no
recovery has mended yet, and anything else may go at once.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.simulation.kafka import Place
from vision_stream.audit import Entry
from vision_stream.fencing import Fence


class Compaction:
    """Of all changelogs. The entries themselves stay, for the audit: it reads a run, not what is left of it."""

    def __init__(self, entries: Mapping[Place, Sequence[Entry]], rng: random.Random, chance: float) -> None:
        self._entries, self._rng, self._chance = entries, rng, chance
        self._gone: dict[Place, set[int]] = defaultdict(set)
        self._mended: dict[Place, int] = {}  # up to which offset an owner has recovered and mended it

    def mended(self, place: Place, upto: int) -> None:
        self._mended[place] = max(upto, self._mended.get(place, 0))

    def maybe(self, place: Place, read_by_all: int) -> int:
        """Compact it, or do not, up to somewhere; how many records that took. ``read_by_all``: offset up to which all
        who read on have read, as a tombstone stays for a day."""
        if self._rng.random() >= self._chance:
            return 0
        upto = self._cleanable(place)
        cleanable = self._entries[place][: self._rng.choice((upto, self._rng.randint(0, upto)))]
        last = {entry.key: entry.offset for entry in cleanable}
        before = len(self._gone[place])
        self._gone[place].update(
            entry.offset
            for entry in cleanable
            if entry.offset != last[entry.key] or (entry.value is None and entry.offset < read_by_all)
        )
        return len(self._gone[place]) - before

    def _cleanable(self, place: Place) -> int:
        """Offset of the first late row that nobody has mended, else the end."""
        fence, mended = Fence(), self._mended.get(place, 0)
        for entry in self._entries[place]:
            if not fence.admits(entry.key or b"", entry.headers) and entry.offset >= mended:
                return entry.offset
        return len(self._entries[place])

    def left(self, place: Place, first: int, end: int) -> Iterator[Entry]:
        """What a recovery gets to read from ``first`` on."""
        return (entry for entry in self._entries[place][first:end] if entry.offset not in self._gone[place])
