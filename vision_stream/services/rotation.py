"""A log that is bounded while it is written: its writer rotates it, so nothing is lost between copy and truncate."""

from __future__ import annotations

import threading
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEPT = 5  # beside the one that is written: NAME.log.1 is the newest


class RotatingLog:
    """``path`` and at most ``kept`` older ones, each of at most ``max_bytes`` or one write. Safe between threads.

    A full disk costs what is written, never the writer: ``lost`` counts the bytes.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self.lost = 0
        self._max_bytes, self._kept = max_bytes, kept
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size

    def write(self, data: bytes) -> None:
        """Append whole lines."""
        with self._lock:
            try:
                if self._size and self._size + len(data) > self._max_bytes:
                    self._rotate()
                self._file.write(data)
                self._size += len(data)
            except OSError:
                self.lost += len(data)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _rotate(self) -> None:
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._file.close()
        try:
            self.path.replace(self._numbered(1))
        finally:  # where a reader holds it (Windows), what is written goes on in the old one
            self._file = self.path.open("ab", buffering=0)
            self._size = self.path.stat().st_size

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


class TextLog:
    """A ``RotatingLog`` as the stream of a logging handler."""

    def __init__(self, log: RotatingLog) -> None:
        self._log = log

    def write(self, text: str) -> int:
        self._log.write(text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""
