"""What a burst of work leaves behind in the C library's heap."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

# ``mallopt`` of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE = 128 * 1024  # bytes. Larger blocks have pages of their own, which go back to the system as they are freed.
SPARE = 1024 * 1024  # bytes that a heap keeps free at its end


def keep_small() -> None:
    """For a process that reads messages: a large block goes back to the system when it is freed.

    By default glibc lets the limit grow with the blocks that it sees, to 32 MB, and keeps twice as much at the end of
    each thread's heap, where ``give_back`` does not reach: a recovery's fetches of 1 MB a partition left a worker 20 to
    30 MB larger. Not for one that takes and frees a frame of some MB many times a second: fresh pages cost time.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, SPARE)


def give_back() -> None:
    """Return to the system what the heap does not use; nothing where the C library is not glibc.

    glibc keeps freed pages below the last one that is used: a recovery of tens of thousands of rows, of which a few
    remain, leaves a worker tens of megabytes larger, and each rebalance may add to it.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
