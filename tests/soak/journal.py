"""All that a run says, as JSON lines: each is on the disk before the next is made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

FILE = "samples.jsonl"


class Journal:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = (directory / FILE).open("ab", buffering=0)

    def write(self, kind: str, **values: Any) -> None:
        self._file.write(msgspec.json.encode({"kind": kind, "at": round(time.time(), 3), **values}) + b"\n")

    def close(self) -> None:
        self._file.close()


def read(directory: Path) -> list[dict[str, Any]]:
    """The lines of a run; one that was cut off in the middle is left out."""
    lines = (directory / FILE).read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines if line.endswith(b"}")]
