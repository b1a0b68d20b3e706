"""What a burst of work leaves behind in the C library's heap."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return to the system what the heap does not use; nothing where the C library is not glibc.

    glibc keeps freed pages below the last one that is used: a recovery of tens of thousands of rows, of which a few
    remain, leaves a worker tens of megabytes larger, and each rebalance may add to it.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
