"""Which rows of a table's changelog count: a partition's owners are numbered in the changelog itself.

A worker that takes a partition over announces itself there with a number above all before it, and stamps it on every
row. What a former owner writes after that (it was frozen, or cut off, and does not know yet) is told by its number, by
everybody who reads the changelog, and left out. See ``docs/decisions/0007-fencing.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

HEADER = "owner"
LONGEST = 40  # bytes of it; Python refuses to read numbers of thousands of digits
MARKER = b"\x00owner"  # the key of an announcement: no camera's id. Compaction keeps the last.
MARKER_VALUE = b"{}"  # an empty row, for readers that know nothing of announcements; a tombstone would not last

Headers = Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None


class Epoch(NamedTuple):
    """An owner's number. The group's generation parts those who took the same number, the later one above; alone it
    would not do: it begins anew where a group was empty for long."""

    number: int
    generation: int

    def headers(self) -> list[tuple[str, bytes]]:
        return [(HEADER, b"%d.%d" % self)]

    @classmethod
    def of(cls, headers: Headers) -> Epoch | None:
        """Who wrote it; None where nothing says so, as in a row of an older version.

        >>> Epoch.of(Epoch(3, 17).headers())
        Epoch(number=3, generation=17)
        >>> Epoch.of([("traceparent", b"00-1")])
        """
        said = dict(headers or ()).get(HEADER) or b""  # Kafka has headers without a value, too
        number, _, generation = said[:LONGEST].partition(b".")
        return cls(int(number), int(generation)) if number.isdigit() and generation.isdigit() else None

    def next(self, generation: int) -> Epoch:
        return Epoch(self.number + 1, generation)


NOBODY = Epoch(0, 0)


class Fence:
    """One partition's changelog, as far as it was read, in order."""

    def __init__(self) -> None:
        self.owner = NOBODY  # the last to have announced itself
        self.stale: set[bytes] = set()  # keys whose last record does not count: compaction would keep that one

    def admits(self, key: bytes, headers: Headers) -> bool:
        """Does this record count, the next of the partition?

        A record that does not say who wrote it does: workers of an older version may be among ours for a while.
        """
        epoch = Epoch.of(headers)
        if epoch is not None and epoch < self.owner:
            self.stale.add(key)
            return False
        self.owner = epoch or self.owner
        self.stale.discard(key)
        return True
