"""How one of the free keys is chosen: a function of the candidates, in the order of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vision_stream.llm.key_state import KeyState

Strategy = Callable[[Sequence[KeyState]], KeyState]


def strategy_named(name: str) -> Strategy:
    """A fresh strategy: ``least_loaded``, ``round_robin`` or ``weighted``."""
    return {"least_loaded": lambda: least_loaded, "round_robin": RoundRobin, "weighted": lambda: weighted}[name]()


def least_loaded(free: Sequence[KeyState]) -> KeyState:
    """The fewest calls in flight; of those, the fewest calls made."""
    return min(free, key=lambda key: (key.in_flight, key.calls))


def weighted(free: Sequence[KeyState]) -> KeyState:
    """In proportion to priority, smoothly interleaved; a key that was away has nothing to catch up on."""
    for key in free:
        key.credit += key.priority
    chosen = max(free, key=lambda key: key.credit)
    chosen.credit -= sum(key.priority for key in free)
    return chosen


class RoundRobin:
    """The next after the last one chosen; one that is not free is passed over."""

    def __init__(self) -> None:
        self._order: dict[str, int] = {}  # key id to the number of its last turn
        self._turn = 0

    def __call__(self, free: Sequence[KeyState]) -> KeyState:
        chosen = min(free, key=lambda key: self._order.get(key.id, -1))
        self._turn += 1
        self._order[chosen.id] = self._turn
        return chosen
