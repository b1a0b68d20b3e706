"""Virtual time: nothing is waited for; when all wait, the clock jumps to the first that need not any more.

Whoever ``holds`` a context stops the tasks that run in it, wherever they wait, as SIGSTOP does a process.
"""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

T = TypeVar("T")
EPOCH = 1_700_000_000.0
Step = tuple[Callable[..., object], tuple[Any, ...], Context]


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
        self.held: Callable[[], list[Step] | None] = lambda: None  # where the running context's steps are kept
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def at_each_turn(self, turn: Callable[[], None]) -> None:
        """Call ``turn`` between any two steps of tasks that wait for anything."""
        self._jump.turn = turn

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        context = copy_context() if context is None else context  # an empty one is false
        return super().call_soon(self._step, callback, args, context, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context  # an empty one is false
        return super().call_at(when, self._step, callback, args, context, context=context)

    def _step(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        kept = self.held()
        if kept is None:
            callback(*args)
        else:
            kept.append((callback, args, context))

    def go_on(self, kept: list[Step]) -> None:
        """Take the steps that were kept, in order."""
        for callback, args, context in kept:
            self.call_soon(callback, *args, context=context)
        kept.clear()


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
                loop.held = lambda: None
                left = asyncio.all_tasks(loop)
                for task in left:
                    task.cancel()
                if left:
                    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
