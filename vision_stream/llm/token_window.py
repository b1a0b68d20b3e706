"""A limit of tokens that holds in every window: each call weighs what it takes. Pure, as ``limits``.

A call's tokens are reserved as estimated and corrected when they are known.
"""

from __future__ import annotations

import math
from array import array

from vision_stream.llm.limits import PENDING_S, Cells

HEAD, TAIL, SUM, TIMES = 0, 1, 2, 3  # next slot, oldest slot, tokens of all between; then times, then tokens
LIGHTEST = 50  # tokens of a call, which says how many calls a ring must hold
MOST = 8192  # calls a window. 128 KB a key.


def capacity(limit: int) -> int:
    return min(max(limit // LIGHTEST, 16), MOST)


def cells_needed(limit: int) -> int:
    return TIMES + 2 * capacity(limit)


def fresh_token_cells(limit: int) -> Cells:
    return array("d", bytes(8 * cells_needed(limit)))


class TokenWindow:
    """At most ``limit`` tokens in any half-open window of ``span_s`` seconds.

    >>> window = TokenWindow(limit=1000, span_s=60.0)
    >>> slot = window.reserve(now=0.0, tokens=800); window.stamp(slot, now=0.0)
    >>> window.free_at(tokens=300), window.free_at(tokens=200)
    (60.0, -inf)
    """

    __slots__ = ("_capacity", "_cells", "_whole", "limit", "span_s")

    def __init__(self, limit: int, span_s: float, cells: Cells | None = None, *, whole: bool = True) -> None:
        """``whole``: a call heavier than the limit goes when nothing else is in the window; in a share: never."""
        self.limit, self.span_s, self._whole = limit, span_s, whole
        self._capacity = capacity(limit)
        self._cells = fresh_token_cells(limit) if cells is None else cells

    def free_at(self, tokens: int = 0) -> float:
        """When a call of ``tokens`` may go; in the past or now: at once."""
        cells, tokens = self._cells, self._weight(tokens)
        if tokens > self.limit:
            return math.inf
        slot, head, total, at = int(cells[TAIL]), int(cells[HEAD]), cells[SUM], -math.inf
        full = (head + 1) % self._capacity == slot
        while slot != head and (total + tokens > self.limit or full):
            at = max(at, cells[TIMES + slot] + self.span_s)
            total -= cells[TIMES + self._capacity + slot]
            slot, full = (slot + 1) % self._capacity, False
        return at

    def pending(self, now: float) -> bool:
        cells, tail = self._cells, int(self._cells[TAIL])
        return tail != int(cells[HEAD]) and cells[TIMES + tail] > now

    def reserve(self, now: float, tokens: int = 0) -> int:
        """Take room for a call that is not on its way yet. The caller has looked at ``free_at`` first."""
        self._forget(now)
        cells, slot, tokens = self._cells, int(self._cells[HEAD]), self._weight(tokens)
        cells[TIMES + slot] = now + PENDING_S
        cells[TIMES + self._capacity + slot] = tokens
        cells[SUM] += tokens
        cells[HEAD] = (slot + 1) % self._capacity
        return slot

    def stamp(self, slot: int, now: float) -> None:
        if self._cells[TIMES + slot] > now:
            self._cells[TIMES + slot] = now

    def correct(self, slot: int, tokens: int) -> None:
        """The call of ``slot`` took ``tokens``."""
        cells, at = self._cells, TIMES + self._capacity + slot
        if cells[at]:  # else it has left the window
            cells[SUM] += tokens - cells[at]
            cells[at] = tokens

    def recent(self, now: float) -> list[tuple[float, int]]:
        """(when, tokens) of the calls in the window that ends at ``now``."""
        cells, slot, found = self._cells, int(self._cells[TAIL]), []
        while slot != int(cells[HEAD]):
            found.append((min(cells[TIMES + slot], now), int(cells[TIMES + self._capacity + slot])))
            slot = (slot + 1) % self._capacity
        return [entry for entry in found if entry[0] > now - self.span_s]

    def used(self, now: float) -> int:
        return sum(tokens for _, tokens in self.recent(now))

    def _weight(self, tokens: int) -> int:
        return min(tokens, self.limit) if self._whole else tokens

    def _forget(self, now: float) -> None:
        cells, tail, head = self._cells, int(self._cells[TAIL]), int(self._cells[HEAD])
        while tail != head and cells[TIMES + tail] + self.span_s <= now:
            cells[SUM] -= cells[TIMES + self._capacity + tail]
            cells[TIMES + self._capacity + tail] = 0.0
            tail = (tail + 1) % self._capacity
        cells[TAIL] = tail
