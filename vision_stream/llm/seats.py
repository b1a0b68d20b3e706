"""Calls under way with one key, over all processes of a host: how many, and which one is its probe.

Each process has a row of its own, which it alone counts in, and holds the lock of that row's file for as long as it
lives: a process that dies, however it dies, gives its seats back. Only taking a seat needs the key's lock.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

ROWS = 64  # processes of a host. More: a longer sum in each reservation of a key with max_concurrent.
REAP_S = 0.1  # between two looks for dead processes among those that fill a key
TRIES = 20  # of a lock that is held for microseconds. More: a stopped process that holds it stalls the loop.
_PROBER, _RESTS_UNTIL, _WELL_AT, _COUNTS = 0, 1, 2, 3
_SIZE = 8 * (_COUNTS + ROWS)

Probing = Literal["yours", "taken", "well"] | float


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_soon(file: int) -> bool:
    """Take a lock that others hold for microseconds; False: one holds it longer, stopped perhaps."""
    if _lock(file):
        return True
    for _ in range(TRIES):
        os.sched_yield()
        if _lock(file):
            return True
    return False


class Row:
    """This process's row in every key's seats.

    Raises:
        BlockingIOError: ``ROWS`` processes have one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for number in range(ROWS):
            file = self._open(number)
            if _lock(file):
                self._file, self.number = file, number
                return
            os.close(file)
        raise BlockingIOError(f"{ROWS} processes count in {directory}")

    def _open(self, number: int) -> int:
        return os.open(self._directory / f"process-{number:02}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def dead(self, number: int) -> Iterator[bool]:
        """Whether the process of another row is; it stays without one inside the block."""
        file = self._open(number)
        try:
            yield _lock(file)
        finally:
            os.close(file)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)


class Seats:
    """Of one key, in ``path``, which is made if missing. ``now`` is the host's monotonic seconds."""

    def __init__(self, path: Path, row: Row) -> None:
        self._row = row
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _SIZE)  # zeros: nobody probes, nobody calls
        self._cells = memoryview(mmap.mmap(self._file, _SIZE)).cast("d")
        self._counts = self._cells[_COUNTS:]
        self._counts[row.number] = 0.0  # what a dead process left in our row
        if self._cells[_PROBER] == row.number + 1:
            self._cells[_PROBER] = 0.0
        self._reaped_at = -math.inf

    def others(self) -> bool:
        """Whether another process has a call under way."""
        return sum(self._counts) > self._counts[self._row.number]

    def seat(self, most: int | None, now: float, *, probe: bool) -> HostSeat | None:
        """For one call, which is our ``probe`` perhaps; None: all ``most`` are taken."""
        if most is None or self._enter(most, now):
            return HostSeat(self, seated=most is not None, probe=probe)
        if probe:
            self.probed()
        return None

    def _enter(self, most: int, now: float) -> bool:
        with self._locked() as locked:
            if not locked or (sum(self._counts) >= most and not (self._reap(now) and sum(self._counts) < most)):
                return False
            self._counts[self._row.number] += 1
            return True

    def leave(self) -> None:
        self._counts[self._row.number] -= 1

    def probe(self, now: float, since: float) -> Probing:
        """Take the one probe of a key that began to cool at ``since``.

        Else: ``taken`` by another process; ``well``: another one's was answered since; or until when the key rests,
        because another one's was not.
        """
        with self._locked() as locked:
            if self._cells[_WELL_AT] > since:
                return "well"
            if self._cells[_RESTS_UNTIL] > now:
                return self._cells[_RESTS_UNTIL]
            prober = int(self._cells[_PROBER]) - 1
            if not locked or (prober >= 0 and not self._is_dead(prober)):
                return "taken"
            self._cells[_PROBER] = self._row.number + 1
            return "yours"

    def probed(self, *, well_at: float | None = None, rests_until: float | None = None) -> None:
        """Our probe has ended: answered, failed, or neither."""
        if well_at is not None:
            self._cells[_WELL_AT] = well_at
        if rests_until is not None:
            self._cells[_RESTS_UNTIL] = rests_until
        self._cells[_PROBER] = 0.0

    def _is_dead(self, number: int) -> bool:
        if number == self._row.number:
            return False
        with self._row.dead(number) as dead:
            return dead

    def _reap(self, now: float) -> bool:
        """Free the seats of processes that have died; False where that was done just now."""
        if now - self._reaped_at < REAP_S:
            return False
        self._reaped_at = now
        for number, count in enumerate(self._counts):
            if count and number != self._row.number:
                with self._row.dead(number) as dead:
                    if dead:
                        self._counts[number] = 0.0
        return True

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        locked = lock_soon(self._file)
        try:
            yield locked
        finally:
            if locked:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def __del__(self) -> None:
        os.close(self._file)


class Seat(Protocol):
    """One call's place among those under way with its key in all processes, the place of its probe, or both."""

    def leave(self, now: float, *, well: bool = False, rests_until: float | None = None) -> None:
        """The call has ended. ``well``: it was answered; ``rests_until``: its key cools."""
        ...


class HostSeat:
    """In ``Seats``."""

    __slots__ = ("_probe", "_seated", "_seats")

    def __init__(self, seats: Seats, *, seated: bool, probe: bool) -> None:
        self._seats, self._seated, self._probe = seats, seated, probe

    def leave(self, now: float, *, well: bool = False, rests_until: float | None = None) -> None:
        if self._seated:
            self._seats.leave()
        if self._probe:
            self._seats.probed(well_at=now if well else None, rests_until=rests_until)
