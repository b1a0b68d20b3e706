"""Calls that outlive the handler that began them.

A rebalance breaks off every handler that takes longer than the group can wait, and most partitions then come back to
the worker that had them, which handles the same messages again. A call that was under way goes on meanwhile, and the
new handler takes its answer instead of paying for a second one. So do two handlers of one task, where its message came
twice. If that call fails, the next is made once a handler waits for it: ``wanted``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from vision_stream.background import Background

T = TypeVar("T")
KEPT_S = 60.0  # for a handler to come; above a rebalance and its recovery. Where another worker has the task, in vain


@dataclass(eq=False)
class _Work(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0  # handlers
    wanted: asyncio.Event = field(default_factory=asyncio.Event)  # there are some

    @property
    def worth_keeping(self) -> bool:
        """It has ended, with an outcome."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None


class Outliving(Generic[T]):
    """Of one event loop."""

    def __init__(self, calling: Callable[[str], bool], *, kept_s: float = KEPT_S) -> None:
        """``calling``: is a call under way for the task of this id? What only waits for one ends with its handler."""
        self._calling = calling
        self._kept_s = kept_s
        self._works: dict[str, _Work[T]] = {}
        self._background = Background()

    def __len__(self) -> int:
        """Tasks that are under way, or whose outcome nobody has fetched."""
        return len(self._works)

    @asynccontextmanager
    async def of(self, task_id: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> AsyncIterator[T]:
        """What ``begin()`` returns, or what an earlier one for the same task does that is under way or was not used up.

        It is used up where the block ends well; where it fails or is cancelled, the next handler gets the same.

        Raises:
            CancelledError: the caller was cancelled, or what it waits for.
            Exception: what ``begin()`` raises.
        """
        work = self._works.get(task_id)
        if work is None:
            work = self._works[task_id] = _Work(self._background.spawn(begin(), name=f"assess {task_id}"))
        work.waiting += 1
        work.wanted.set()
        used_up = False
        try:
            yield await asyncio.shield(work.task)
            used_up = True
        finally:
            work.waiting -= 1
            if not work.waiting:
                work.wanted.clear()
            if used_up:
                self._forget(task_id, work)
            elif work.worth_keeping or (not work.task.done() and self._calling(task_id)):
                asyncio.get_running_loop().call_later(self._kept_s, self._drop, task_id, work)
            else:
                self._drop(task_id, work)

    async def wanted(self, task_id: str) -> None:
        """Returns as soon as a handler waits for the task's outcome. One that is not under way is not waited for."""
        work = self._works.get(task_id)
        if work is not None:
            await work.wanted.wait()

    async def close(self) -> None:
        """End all that is under way."""
        await self._background.close()
        self._works.clear()

    def _drop(self, task_id: str, work: _Work[T]) -> None:
        if not work.waiting:
            self._forget(task_id, work)
            work.task.cancel()

    def _forget(self, task_id: str, work: _Work[T]) -> None:
        if self._works.get(task_id) is work:
            del self._works[task_id]
