"""When a service that ended by itself runs again. Pure; times are seconds of any one clock."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
STEADY_S = 300.0  # a service that ran this long is sound again: the next wait is the first
CONFIGURATION = 2  # the exit code of a wrong setting, which is as wrong a second later


class Restarts(Struct, frozen=True):
    """How often a service has ended by itself, and how long the next wait is."""

    count: int = 0
    wait_s: float = FIRST_WAIT_S


def ended(past: Restarts, code: int | None, ran_s: float) -> tuple[Restarts, float | None]:
    """After an end that nobody asked for: what is known now, and the seconds until it runs again.

    None: not again, as it said that its configuration is wrong. Every other code is a crash, a kill or a watchdog's.

    >>> ended(Restarts(), 1, ran_s=3.0)
    (Restarts(count=1, wait_s=2.0), 1.0)
    """
    wait = FIRST_WAIT_S if ran_s >= STEADY_S else past.wait_s
    if code == CONFIGURATION:
        return replace(past, count=past.count + 1), None
    return Restarts(past.count + 1, min(wait * 2, LONGEST_WAIT_S)), wait
