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


def at_once_at_the_next(number: int) -> None:
    """From now on another ``number`` ends the process at once, whatever hangs.

    The other signal ends it at its own second: a supervisor's first SIGTERM follows a Ctrl-C that went to everybody.
    By a handler, as a container's first process has no default action.
    """
    for each in SIGNALS:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or no main thread
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, _end if each == number else _arm)


def at_the_latest(within_s: float, code: int) -> None:
    """End the process with ``code`` in ``within_s`` seconds if it still runs then, whatever hangs."""
    last_resort = threading.Timer(within_s, _give_up, (within_s, code))
    last_resort.daemon = True
    last_resort.start()


def _give_up(within_s: float, code: int) -> None:
    os.write(2, f"not ended in order within {within_s:g} s; exit code {code}\n".encode())  # a logger may be what hangs
    os._exit(code)


def _arm(number: int, _: FrameType | None) -> None:
    signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
