"""A second call on another key when the first takes unusually long; the first answer wins, the other is cancelled.

Hedges are few: they are paid for, charged to the limits, and made only when no task waits for a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from vision_stream import metrics
from vision_stream.background import Background
from vision_stream.llm.run import Run
from vision_stream.messages import Assessed, GroupAssessment

SHARE = 0.02  # of the calls. More: a provider's slow minute is paid twice. Fewer: the slow ones are waited for.
SAVED_UP = 5.0  # hedges that a quiet time leaves for a bad one

Call = Coroutine[Any, Any, GroupAssessment | None]


class Hedges:
    """Counts what may be spent on hedges, and owns the calls that race."""

    def __init__(self) -> None:
        self._left = 1.0
        self._background = Background()

    async def close(self) -> None:
        await self._background.close()

    async def race(
        self, run: Run, call: Call, after_s: float, second: Callable[[Run], Call | None]
    ) -> GroupAssessment | None:
        """The outcome of ``call``, or of the one that ``second`` makes ``after_s`` seconds later; None: none has one.

        ``second`` gets a run of its own; None from it: there is no key for it.
        """
        self._left = min(self._left + SHARE, SAVED_UP)
        calls = {self._background.spawn(call, name="LLM call"): run}
        try:
            await asyncio.wait(calls, timeout=after_s)
            if self._left >= 1.0 and not any(task.done() for task in calls):
                other = run.fork()
                hedge = second(other)
                if hedge is not None:
                    self._left -= 1.0
                    calls[self._background.spawn(hedge, name="hedged LLM call")] = other
            return await _first(run, calls)
        finally:
            await asyncio.sleep(0)  # a task that is cancelled before it began would not give its lease back
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)


async def _first(run: Run, calls: dict[asyncio.Task[GroupAssessment | None], Run]) -> GroupAssessment | None:
    pending, outcome = set(calls), None
    while pending and not isinstance(outcome, Assessed):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            found = task.result()
            outcome = found if isinstance(found, Assessed) or outcome is None else outcome
            if len(calls) > 1 and isinstance(found, Assessed):
                metrics.llm_hedges.labels("lost" if calls[task] is run else "won").inc()
    for other in calls.values():
        if other is not run:
            run.absorb(other)
    return None if outcome is None else run.with_attempts(outcome)
