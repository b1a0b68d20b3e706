"""Virtual time: nothing is waited for; when all wait, the clock jumps to the first that need not any more."""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

T = TypeVar("T")
EPOCH = 1_700_000_000.0


class Stuck(Exception):
    """All tasks wait for each other."""


class _Jump(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.turn: Callable[[], None] = lambda: None

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self.now += timeout
        self.turn()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def at_each_turn(self, turn: Callable[[], None]) -> None:
        """Call ``turn`` between any two steps of tasks that wait for anything."""
        self._jump.turn = turn


@contextmanager
def _virtual(loop: VirtualLoop, seed: int) -> Iterator[None]:
    before, state = (time.time, time.monotonic), random.getstate()
    time.time, time.monotonic = lambda: EPOCH + loop.time(), loop.time
    random.seed(seed)  # what asks no generator of its own
    collects = gc.isenabled()
    gc.disable()  # a generator that is collected takes a turn of the loop, whenever that is
    try:
        yield
    finally:
        if collects:
            gc.enable()
        time.time, time.monotonic = before
        random.setstate(state)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out deliveries that failed when their handler had been broken off, and nobody waited any more."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


def run(make: Callable[[VirtualLoop], Coroutine[Any, Any, T]], seed: int) -> T:
    """Run a coroutine in virtual time, to its end."""
    loop = VirtualLoop()
    loop.set_exception_handler(_report)
    try:
        with _virtual(loop, seed):
            try:
                return loop.run_until_complete(make(loop))
            finally:
                left = asyncio.all_tasks(loop)
                for task in left:
                    task.cancel()
                if left:
                    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
