"""A key's limits shared by all processes of a host: the same windows, in a memory-mapped file under a lock.

Choosing a key looks without the lock, reserving looks again under it: one step for all processes, and no process waits
for another. A process that dies leaves no lock, and its reservations come free by themselves. Times are the host's
monotonic clock, so the file's name holds the boot: after a restart of the host it begins afresh.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vision_stream.llm.limits import (
    JITTER_S,
    LOOK_AGAIN_S,
    MINUTE_S,
    Cells,
    KeyLimits,
    SlidingWindow,
    Slots,
    Window,
    key_limits,
    spans,
    widened,
)
from vision_stream.llm.token_window import TokenWindow, cells_needed

if TYPE_CHECKING:
    from vision_stream.llm.pool import PooledKey

if sys.platform == "linux":  # elsewhere each process counts alone: no boot id, and on Windows no flock
    import fcntl

    from vision_stream.llm.seats import Row, Seats, lock_soon

_DOUBLE = 8
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SharedLimits(KeyLimits):
    """Windows over the cells in ``path``, made if missing."""

    __slots__ = ("_file", "_memory", "fresh")

    def __init__(
        self, path: Path, windows: tuple[tuple[int, float], ...], tokens: tuple[int, float] | None = None
    ) -> None:
        """``windows`` of calls, and one of ``tokens``, as limits and seconds."""
        calls = sum(limit + 1 for limit, _ in windows)
        size = _DOUBLE * (calls + (cells_needed(tokens[0]) if tokens else 0))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            new = os.fstat(self._file).st_size != size
            if new:
                os.ftruncate(self._file, size)
            self.fresh = new
            self._memory = mmap.mmap(self._file, size)
            cells = cast("memoryview[float]", memoryview(self._memory).cast("d"))
            found: list[Window] = [*_over(cells, windows, new=new)]
            if tokens is not None:
                found.append(TokenWindow(*tokens, cast("Cells", cells[calls:])))
            super().__init__(found)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def look_again_at(self, now: float, tokens: int = 0) -> float:
        at = self.free_at(tokens)
        if at > now and any(window.pending(now) for window in self.windows):
            return now + LOOK_AGAIN_S  # perhaps another process's request, which we are not told of
        return at

    def reserve(self, now: float, tokens: int = 0) -> Slots | None:
        if not lock_soon(self._file):
            return None
        try:
            return super().reserve(now, tokens) if self.free_at(tokens) <= now else None
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def correct(self, slots: Slots, tokens: int) -> None:
        if self.of_tokens() and lock_soon(self._file):  # else the estimate stands, which is rather too much
            try:
                super().correct(slots, tokens)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def __del__(self) -> None:
        os.close(self._file)


def _over(cells: memoryview[float], windows: tuple[tuple[int, float], ...], *, new: bool) -> list[SlidingWindow]:
    found, start = [], 0
    for limit, span_s in windows:
        part = cells[start : start + limit + 1]
        if new:
            part[0] = 1.0
            for slot in range(1, limit + 1):
                part[slot] = -math.inf
        found.append(SlidingWindow(limit, span_s, cast("Cells", part)))
        start += limit + 1
    return found


class LimitsDirectory:
    """Makes the limits of keys, shared below ``directory`` with all processes that name the same."""

    def __init__(self, directory: Path, *, jitter_s: float = JITTER_S) -> None:
        self._directory, self._jitter_s = directory, jitter_s
        self._row: Row | None = None
        self._seats: dict[Path, Seats] = {}

    def __call__(self, key: PooledKey, identity: str = "") -> KeyLimits:
        """``identity`` tells this key from others under the same id: of its secret, say, never the secret."""
        if sys.platform != "linux":
            return key_limits(key.qps_limit, key.rpm_limit, key.tpm_limit, jitter_s=self._jitter_s)
        self._directory.mkdir(parents=True, exist_ok=True)
        who = (key.id, key.base_url, identity or key.identity, _BOOT_ID.read_text())
        limits = self._windows(key, who)
        limits.seats = self._seats_of(self._path(key, who, "seats"))
        return limits

    def _windows(self, key: PooledKey, who: tuple[str, ...]) -> KeyLimits:
        windows = spans(key.qps_limit, key.rpm_limit, jitter_s=self._jitter_s)
        tokens = None if key.tpm_limit is None else (key.tpm_limit, widened(MINUTE_S, self._jitter_s))
        if not (windows or tokens):
            return KeyLimits(())
        facts = (*who, key.qps_limit, key.rpm_limit, key.tpm_limit)
        return SharedLimits(self._path(key, facts, "limits"), windows, tokens)

    def _path(self, key: PooledKey, facts: tuple[object, ...], kind: str) -> Path:
        name = hashlib.blake2b(repr(facts).encode(), digest_size=8).hexdigest()
        return self._directory / f"{key.id}-{name}.{kind}"

    def _seats_of(self, path: Path) -> Seats:
        """Of a key, whatever its limits: those under way count under changed limits too."""
        self._row = self._row or Row(self._directory)
        if path not in self._seats:
            self._seats[path] = Seats(path, self._row)
        return self._seats[path]
