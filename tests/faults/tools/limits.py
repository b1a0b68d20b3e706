"""Descriptors and memory taken away from a running process, and given back (prlimit)."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def missing() -> str:
    return "" if sys.platform == "linux" else "needs Linux"


@contextmanager
def few_descriptors(pid: int, spare: int) -> Iterator[None]:
    """Let it open ``spare`` more files and sockets than it has open now."""
    highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    with _limited(pid, resource.RLIMIT_NOFILE, highest + 1 + spare):
        yield


@contextmanager
def little_memory(pid: int, spare_bytes: int) -> Iterator[None]:
    """Let its address space grow by ``spare_bytes`` and no further, and not at all below 0: what needs more fails, and
    what it has it keeps."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    with _limited(pid, resource.RLIMIT_AS, pages * resource.getpagesize() + spare_bytes):
        yield


@contextmanager
def _limited(pid: int, kind: int, limit: int) -> Iterator[None]:
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it has not survived
            resource.prlimit(pid, kind, before)
