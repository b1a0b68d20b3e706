"""Work in two legs: while one frame is on its second, the next is on its first. In order, and two at most."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self

Work = Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
END_S = 5.0  # for what is cancelled


class Relay:
    """Owns what it started: the block ends when that has ended; where the block is cancelled, that is too."""

    def __init__(self) -> None:
        self._running: deque[asyncio.Future[None]] = deque(maxlen=2)

    async def start(self, work: Work) -> None:
        """Begin ``work``, which awaits what it is given between its legs; return when it may go on its second.

        Raises:
            Exception: what this work or the one before has raised.
        """
        before = self._running[-1] if self._running else None
        turn = asyncio.Event()

        async def second_leg() -> None:
            if before is not None:
                await before
            turn.set()

        async def both() -> None:
            await work(second_leg)
            await second_leg()  # where the work was over after its first leg

        started = asyncio.ensure_future(both())
        started.add_done_callback(lambda _: turn.set())
        self._running.append(started)
        await turn.wait()
        if started.done():
            started.result()

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
