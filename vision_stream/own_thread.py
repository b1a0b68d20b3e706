"""What may block for long and cannot be cancelled, as looking a name up: in a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(look: Callable[[], T], *, name: str) -> T:
    """What ``look`` returns or raises; the caller bounds the wait, as with ``asyncio.timeout``.

    Not the loop's own threads: there are few, others wait for them, and the end of the loop or the process would.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def deliver(put: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if answer.done() else put())

    def work() -> None:
        try:
            result = look()
        except Exception as error:
            failed = error
            deliver(lambda: answer.set_exception(failed))
        else:
            deliver(lambda: answer.set_result(result))

    threading.Thread(target=work, daemon=True, name=name).start()
    return await answer
