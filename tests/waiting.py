"""Waiting for a condition with a limit: the only way in which a test waits."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    condition: Callable[[], T | Awaitable[T]], within_s: float = 5.0, *, every_s: float = 0.02, what: str = ""
) -> T:
    """Ask ``condition`` until it is true, and return what it said.

    A condition may be a coroutine function; an ``AssertionError`` of its own counts as "not yet".

    Raises:
        AssertionError: it was not true within ``within_s`` seconds; says what it said last.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = await _ask(condition, max(deadline - time.monotonic(), every_s))
        if answer and not isinstance(answer, _NotYet):
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:g} s: {what or _source(condition)}; last: {answer!r}")
        await asyncio.sleep(every_s)


class _NotYet:
    """An assertion of the condition that failed."""

    def __init__(self, reason: object) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"{self.reason}"


async def _ask(condition: Callable[[], T | Awaitable[T]], left_s: float) -> T | _NotYet:
    try:
        answer = condition()
        if inspect.isawaitable(answer):
            return await asyncio.wait_for(answer, left_s)
        return answer
    except AssertionError as error:
        return _NotYet(f"AssertionError: {error}")
    except TimeoutError:
        return _NotYet(f"no answer in {left_s:.1f} s")


def _source(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):
        return getattr(condition, "__name__", repr(condition))
