"""How a process ends at a signal: in order at the first, at once at the second.

0     in order, at SIGTERM
130   in order, at Ctrl-C
143   SIGTERM, and SIGTERM again: at once; a second Ctrl-C gives 130
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def at_once_at_the_next_signal() -> None:
    """From now on a SIGTERM or Ctrl-C ends the process at once, whatever hangs.

    Not by the signal's default action: a container's first process has none.
    """
    for number in SIGNALS:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or no main thread
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, _end)


def at_the_latest(within_s: float, code: int) -> None:
    """End the process with ``code`` in ``within_s`` seconds if it still runs then, whatever hangs."""
    last_resort = threading.Timer(within_s, os._exit, (code,))
    last_resort.daemon = True
    last_resort.start()


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
