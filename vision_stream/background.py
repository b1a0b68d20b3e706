"""Every background task has an owner that holds it, sees its failure and ends it.

Use ``asyncio.TaskGroup`` where the life of the work is a block; a ``Background`` where it is an object's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class Background:
    """Owns tasks that run beside their caller; a failure is logged and remembered, never lost."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failures: list[BaseException] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run ``work`` until it ends or ``close`` cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.failures = [*self.failures[-9:], error]  # the last ten are enough to see why
            _log.error("background task failed", task=task.get_name(), exc_info=error)

    async def settle(self, *, within_s: float) -> int:
        """Let what runs end by itself, at most ``within_s`` seconds; returns how many tasks still run."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=within_s)
        return len(self._tasks)

    async def close(self, *, within_s: float = 5.0) -> None:
        """Cancel what still runs and wait for its end, at most ``within_s`` seconds."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=within_s)
            for task in stuck:
                _log.error("background task did not end", task=task.get_name(), within_s=within_s)
