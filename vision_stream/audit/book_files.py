"""The budget's books of a day, from the directories where the workers of each host keep them. Changes nothing."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from pathlib import Path

from vision_stream.errors import ConfigError
from vision_stream.llm.spending import ROWS, DayBook

DOUBLES = 1 + 2 * ROWS


def read_books(directories: Iterable[Path], now: float) -> dict[str, tuple[DayBook, ...]]:
    """Of today and yesterday (UTC), by day; a host that has not spent anything has none.

    Raises:
        ConfigError: a directory has no books at all, or what should be one is none.
    """
    days = [time.strftime("%Y-%m-%d", time.gmtime(at)) for at in (now, now - 86_400)]
    found: dict[str, tuple[DayBook, ...]] = {}
    for directory in directories:
        if not any(directory.glob("spent-*.cells")):
            raise ConfigError(
                f"--books {directory}: there is no spent-*.cells", remedy="give `limits` in the workers' data_dir"
            )
        for day in days:
            path = directory / f"spent-{day}.cells"
            if path.exists():
                found[day] = (*found.get(day, ()), _read(path))
    return found


def _read(path: Path) -> DayBook:
    cells = array("d", path.read_bytes())
    if len(cells) != DOUBLES:
        raise ConfigError(f"--books {path}: is no book of a day", remedy="has another version written it?")
    return DayBook(cells)
