"""Work that an error must not end for good: it is begun again, later each time while it goes on failing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from workers.capture.pacing import backoff_s

STEADY_S = 60.0  # without an error: the next one counts as the first. Above the longest wait


async def lasting(
    work: Callable[[], Awaitable[None]],
    failed: Callable[[Exception], Awaitable[None]],
    *,
    chance: Callable[[], float] = random.random,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do ``work`` until it ends by itself; ``failed`` is awaited with each error before the wait.

    Raises:
        Exception: what ``failed`` raises: there is no next time then.
    """
    attempt = 0
    while True:
        began = clock()
        try:
            await work()
            return
        except Exception as error:  # whatever it is: the work is to last
            attempt = 0 if clock() - began > STEADY_S else attempt
            await failed(error)
        await sleep(backoff_s(attempt, chance()))
        attempt += 1
