"""Where all threads and tasks of this process stand. Shows code and line numbers, and no values."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

DEEPEST = 50  # frames of one stack: the innermost


def thread_stacks() -> Iterator[tuple[str, str]]:
    """The name and the stack of each thread, the caller's own left out."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        if ident != threading.get_ident():
            yield names.get(ident, str(ident)), "".join(traceback.format_stack(frame, limit=-DEEPEST))


def task_stacks(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[str, str]]:
    """The names and the stack of the tasks of ``loop`` that stand at one place, the most frequent place first."""
    names: dict[str, str] = {}
    places: Counter[str] = Counter()
    for task in asyncio.all_tasks(loop):
        stack = "".join(_awaiting(task.get_coro()))
        places[stack] += 1
        names.setdefault(stack, task.get_name())
    for stack, tasks in places.most_common():
        yield names[stack] if tasks == 1 else f"{tasks} tasks, as {names[stack]}", stack


def _awaiting(awaited: Any) -> Iterator[str]:
    """From a task's coroutine to what it waits for; asyncio's own shows the first frame only."""
    for _ in range(DEEPEST):
        code, frame = _place(awaited)
        if code is None:
            yield f"  awaiting {type(awaited).__name__}\n"
            return
        yield f'  File "{code.co_filename}", line {frame.f_lineno if frame else "?"}, in {code.co_qualname}\n'
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
        if awaited is None:
            return


def _place(awaited: Any) -> tuple[CodeType | None, FrameType | None]:
    for kind in ("cr", "gi", "ag"):
        if hasattr(awaited, f"{kind}_code"):
            return getattr(awaited, f"{kind}_code"), getattr(awaited, f"{kind}_frame")
    return None, None
