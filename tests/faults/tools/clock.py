"""A wall clock that steps while its process runs: libfaketime, told by a file. The monotonic clock goes on as it is."""

from __future__ import annotations

from pathlib import Path

PLACES = tuple(
    Path(root) / "faketime/libfaketimeMT.so.1"
    for root in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/lib", "/usr/lib")
)


def missing() -> str:
    return "" if _library() else "not installed: libfaketime (Debian's package is `faketime`)"


class Clock:
    """One process's clock, as its ``environ`` makes it; 0 s away from ours until ``step``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds, until a step is noticed
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: float) -> None:
        """Stand this far from the true time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}\n")
        fresh.replace(self._file)  # never read half written


def _library() -> Path | None:
    return next((place for place in PLACES if place.exists()), None)
