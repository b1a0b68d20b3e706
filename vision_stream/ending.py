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
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GOODBYE_S = 0.5  # of the second in which a process ends at its second signal

_Handler = Callable[[int, FrameType | None], None]


def at_once_at_the_next(number: int, goodbye: Callable[[], None] = lambda: None) -> None:
    """From now on another ``number`` ends the process at once, whatever hangs.

    The other signal ends it at its own second: a supervisor's first SIGTERM follows a Ctrl-C that went to everybody.
    By a handler, as a container's first process has no default action.

    Args:
        goodbye: called before that, in a thread of its own, and waited for half a second.
    """
    end = _ends(goodbye)
    for each in SIGNALS:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or no main thread
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, end if each == number else _arms(end))


def at_the_latest(within_s: float, code: int) -> None:
    """End the process with ``code`` in ``within_s`` seconds if it still runs then, whatever hangs."""
    last_resort = threading.Timer(within_s, _give_up, (within_s, code))
    last_resort.daemon = True
    last_resort.start()


def _give_up(within_s: float, code: int) -> None:
    os.write(2, f"not ended in order within {within_s:g} s; exit code {code}\n".encode())  # a logger may be what hangs
    os._exit(code)


def _arms(end: _Handler) -> _Handler:
    def arm(number: int, _: FrameType | None) -> None:
        signal.signal(number, end)

    return arm


def _ends(goodbye: Callable[[], None]) -> _Handler:
    def end(number: int, _: FrameType | None) -> None:
        try:
            last_words = threading.Thread(target=goodbye, daemon=True)
            last_words.start()
            last_words.join(GOODBYE_S)
        finally:  # also where no thread can be had
            os._exit(128 + number)

    return end
