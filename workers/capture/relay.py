"""Work in two legs: while one frame is on its second, others are on their first. In order, and three at most.

One that waits for its first leg to begin keeps the next back. So there is a frame that the device can begin with at
once, and no line behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

END_S = 5.0  # for what is cancelled


class Legs:
    """What one piece of work says of its way."""

    def __init__(self, former: asyncio.Future[None] | None) -> None:
        self._former = former
        self.begun, self.handed_over = asyncio.Event(), asyncio.Event()

    def begins(self) -> None:
        """Its first leg begins: the next may stand in line."""
        self.begun.set()

    async def second(self) -> None:
        """Return when the work before is done, and the second leg may begin.

        Raises:
            Exception: what the work before has raised.
        """
        if self._former is not None:
            await self._former
        self.handed_over.set()

    def over(self) -> None:
        self.begun.set()
        self.handed_over.set()


Work = Callable[[Legs], Coroutine[Any, Any, None]]


class Relay:
    """Owns what it started: the block ends when that has ended; where the block is cancelled, that is too."""

    def __init__(self) -> None:
        self._running: deque[asyncio.Future[None]] = deque(maxlen=3)
        self._former: Legs | None = None

    async def start(self, work: Work) -> None:
        """Start ``work``; return when it has begun, and the one before is on its second leg or done.

        Raises:
            Exception: what this work or one before has raised.
        """
        former = self._former
        legs = self._former = Legs(self._running[-1] if self._running else None)

        async def both() -> None:
            await work(legs)
            await legs.second()  # where the work was over after its first leg

        started = asyncio.ensure_future(both())
        started.add_done_callback(lambda _: legs.over())
        self._running.append(started)
        await legs.begun.wait()
        if former is not None:
            await former.handed_over.wait()
        for each in self._running:
            if each.done():
                each.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, asyncio.CancelledError):
                for work in self._running:
                    await work
        finally:
            await self._cancel()

    async def _cancel(self) -> None:
        running = [work for work in self._running if not work.done()]
        for work in running:
            work.cancel()
        if running:
            await asyncio.wait(running, timeout=END_S)
