"""Deadlines of blocks, many of them with one timer of the loop: an ``asyncio.timeout`` a call costs nine microseconds.

A loop's timers are a heap that compares them one by one, in Python, and keeps those that were cancelled. Here a
deadline is put with all that end within the same ``STEP_S``, and taken out again; one timer ends those that are left.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

STEP_S = 0.02  # by which a block may end late, and never early. Less: more timers. More: it would show beside a call.


class Deadlines:
    """Of blocks on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._steps: dict[int, set[Block]] = {}

    def within(self, seconds: float) -> Block:
        """A block that ends after ``seconds`` from now."""
        step = int((self._loop.time() + seconds) / STEP_S) + 1
        blocks = self._steps.get(step)
        if blocks is None:
            blocks = self._steps[step] = set()
            self._loop.call_at(step * STEP_S, self._end, step)
        return Block(self._loop, blocks)

    def _end(self, step: int) -> None:
        for block in self._steps.pop(step):
            block.end()


class Block:
    """A ``with`` block around what is awaited, until something ends it. As with an ``asyncio.Timeout``, its task is
    cancelled, and that becomes a ``TimeoutError`` where it leaves the block; a cancellation from elsewhere stays one.
    """

    __slots__ = ("_among", "_cancelling", "_loop", "_task", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, among: set[Block] | None = None) -> None:
        """``among``: those that end together, while it is under way."""
        self._loop, self._among, self.expired = loop, among, False

    def __enter__(self) -> Block:
        task = asyncio.current_task(self._loop)
        assert task is not None, "a block is of a task"
        self._task, self._cancelling = task, task.cancelling()
        if self._among is not None:
            self._among.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._among is not None:
            self._among.discard(self)
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        """End it now."""
        self.expired = True
        self._task.cancel()
