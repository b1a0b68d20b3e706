"""What has to be read again, and when: bookkeeping without effects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from faust.types import TP

from vision_stream.delivery.offsets import OffsetLedger

FIRST_WAIT_S = 0.5  # between two reads of one place: stale records that stand behind the hole drain meanwhile
LONGEST_WAIT_S = 60.0  # where nothing ever comes, as behind a compacted end


class _Reread(NamedTuple):
    place: int
    at: float  # monotonic
    wait_s: float
    proving: bool  # the first record from there shows what the log does not have


class Rereads:
    def __init__(self) -> None:
        self._last: dict[TP, _Reread] = {}
        self._suspects: dict[TP, tuple[int, int]] = {}  # the place, and at how many looks it was missing
        self._wanted: dict[TP, int] = {}

    def suspect(self, tp: TP, place: int | None) -> None:
        """Tell what looks lost now; what does so at two looks in a row is read again."""
        if place is None:
            self._suspects.pop(tp, None)
            self._wanted.pop(tp, None)
            return
        before, looks = self._suspects.get(tp, (place, 0))
        self._suspects[tp] = place, looks + 1 if before == place else 1
        if self._suspects[tp][1] >= 2:
            self._wanted[tp] = place

    def due(self, ledger: OffsetLedger[TP], now: float) -> dict[TP, int]:
        """The places to seek to now; they count as read again."""
        missing = {tp: at for tp in ledger if (at := ledger[tp].missing()) is not None}
        places = {**self._wanted, **missing}
        return {tp: place for tp, place in places.items() if self._is_due(tp, place, now)}

    def _is_due(self, tp: TP, place: int, now: float) -> bool:
        last, wait_s = self._last.get(tp), FIRST_WAIT_S
        if last and now - last.at < (last.wait_s if last.place == place else FIRST_WAIT_S):
            return False
        if last and last.place == place:
            wait_s = min(last.wait_s * 2, LONGEST_WAIT_S)
        self._last[tp] = _Reread(place, now, wait_s, proving=True)
        return True

    def proved(self, tp: TP, offset: int) -> int | None:
        """The first record since the last reread is ``offset``: from where on does the log have nothing up to it?"""
        last = self._last.get(tp)
        if last is None or not last.proving or offset < last.place:
            return None
        self._last[tp] = last._replace(proving=False)
        return last.place if offset > last.place else None

    def forget(self, revoked: Iterable[TP]) -> None:
        for tp in revoked:
            for books in (self._last, self._suspects, self._wanted):
                books.pop(tp, None)
