"""What was spent on a day, in all and for each camera; on Linux over all processes of a host, and over restarts.

The book of a day is a small memory-mapped file: the sum, then a row a camera, found by a hash of its id.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from vision_stream.llm.limits import Cells

if sys.platform == "linux":
    import fcntl

ROWS = 8192  # cameras a day; those beyond share the last row. 128 KB a day.
SIZE = 1 + 2 * ROWS
_DOUBLE = 8


class DayBook:
    """One day's spending. Amounts in the currency of the prices."""

    def __init__(self, cells: Cells | None = None) -> None:
        self._cells = array("d", bytes(_DOUBLE * SIZE)) if cells is None else cells
        self._rows: dict[str, int] = {}

    @property
    def total(self) -> float:
        return self._cells[0]

    def of(self, camera_id: str) -> float:
        return self._cells[self._row(camera_id) + 1]

    def add(self, camera_id: str, amount: float, per_day: float | None, per_camera: float | None) -> str | None:
        """Book ``amount`` unless that goes over a limit; returns which one: ``day`` or ``camera``."""
        with self._locked():
            over = self.over(camera_id, amount, per_day, per_camera)
            if over is None:
                self._book(camera_id, amount)
        return over

    def over(self, camera_id: str, amount: float, per_day: float | None, per_camera: float | None) -> str | None:
        if per_day is not None and self.total + amount > per_day:
            return "day"
        return "camera" if per_camera is not None and self.of(camera_id) + amount > per_camera else None

    def correct(self, camera_id: str, amount: float) -> None:
        """Book what it cost beside what was booked; negative: less."""
        with self._locked():
            self._book(camera_id, amount)

    def _book(self, camera_id: str, amount: float) -> None:
        row = self._row(camera_id)
        self._cells[row] = _number(camera_id)
        self._cells[row + 1] = max(0.0, self._cells[row + 1] + amount)
        self._cells[0] = max(0.0, self._cells[0] + amount)

    def _row(self, camera_id: str) -> int:
        known = self._rows.get(camera_id)
        if known is not None and self._cells[known]:
            return known
        number = _number(camera_id)
        first = int(number) % ROWS
        for step in range(ROWS):
            row = 1 + 2 * ((first + step) % ROWS)
            if self._cells[row] in (0.0, number):
                break
        else:
            row = SIZE - 2
        self._rows[camera_id] = row
        return row

    @contextmanager
    def _locked(self) -> Iterator[None]:
        yield


class SharedDayBook(DayBook):
    """The same in the file ``path``, made if missing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _DOUBLE * SIZE)  # new cells are zero, known ones stay
        self._memory = mmap.mmap(self._file, _DOUBLE * SIZE)
        super().__init__(cast("Cells", memoryview(self._memory).cast("d")))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)  # held for microseconds
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def __del__(self) -> None:
        os.close(self._file)


def _number(camera_id: str) -> float:
    """52 bits of a hash, which a double holds exactly; never 0."""
    return float(1 + int.from_bytes(hashlib.blake2b(camera_id.encode(), digest_size=6).digest(), "big"))


class Books:
    """The book of each day; ``directory`` None, or another system than Linux: of this process alone."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory if sys.platform == "linux" else None
        self._day, self._book = "", DayBook()

    def of(self, day: str) -> DayBook:
        """The book of ``day``, as 2026-01-31."""
        if day != self._day:
            self._day = day
            self._book = DayBook() if self._directory is None else SharedDayBook(self._directory / f"spent-{day}.cells")
        return self._book
