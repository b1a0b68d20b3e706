"""Which errors pass by themselves, and how long to wait for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


def is_transient(error: BaseException) -> bool:
    """Is it the broker's or the network's trouble, and worth trying again?"""
    if isinstance(error, ProducerSendError):
        error = error.__cause__ or error
        return not isinstance(error, KafkaError) or _retriable(error)
    if isinstance(error, KafkaError):
        return _retriable(error)
    return isinstance(error, (TimeoutError, ConnectionError))


def _retriable(error: KafkaError) -> bool:
    return bool(error.retriable or getattr(error, "invalid_metadata", False))


def backoff(tries: int | None = None) -> Iterator[float]:
    """Seconds to wait before each further try: doubled up to ``LONGEST_WAIT_S``; without end where ``tries`` is
    None."""
    wait_s, n = FIRST_WAIT_S, 0
    while tries is None or n < tries:
        yield wait_s
        wait_s, n = min(wait_s * 2, LONGEST_WAIT_S), n + 1


async def patiently(act: Callable[[], Awaitable[None]]) -> None:
    """Run ``act`` until it succeeds, however long the broker is in trouble.

    Raises:
        Exception: what does not pass by itself.
    """
    for wait_s in backoff():
        try:
            return await act()
        except Exception as error:
            if not is_transient(error):
                raise
        await asyncio.sleep(wait_s)
