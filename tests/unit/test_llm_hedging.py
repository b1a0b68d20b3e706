"""A second call for a slow first one: the quicker answer, at a few more calls."""

from __future__ import annotations

import asyncio
import statistics
import time

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import a_scheduler, a_simulator, assess_all, states
from tests.waiting import eventually
from vision_stream.llm.hedging import SAVED_UP
from vision_stream.messages import Assessed


async def latencies(*, hedging: bool, calls: int = 500) -> tuple[list[float], int]:
    """Seconds of each task, and how many calls the endpoint got; two of a hundred take ten times as long."""
    found: list[float] = []

    async def one(scheduler, number: int) -> None:
        await asyncio.sleep(number / 100)
        began = time.monotonic()
        assert isinstance(await scheduler.assess(a_task(number)), Assessed)
        found.append(time.monotonic() - began)

    async with a_simulator("a", "b", "c", latency_s=0.1) as simulator:
        async with a_scheduler(keys_for(simulator), hedging=hedging) as scheduler:
            await assess_all(scheduler, [a_task(n) for n in range(30)])  # so that it is known what is usual
            before = len(simulator.calls)
            simulator.fault("slow", share=0.018)
            await asyncio.gather(*(one(scheduler, n) for n in range(calls)))
        return found, len(simulator.calls) - before


def p99(found: list[float]) -> float:
    return statistics.quantiles(found, n=100)[-1]


async def test_a_heavy_tail_is_cut_at_two_percent_more_calls():
    plain, _ = await latencies(hedging=False)
    hedged, calls = await latencies(hedging=True)
    assert p99(hedged) <= 0.35 * p99(plain)
    assert calls <= 1.02 * 500 + SAVED_UP  # which a quiet time before has left


async def test_the_loser_is_cancelled_and_its_key_is_none_the_worse():
    async with (
        a_simulator("a", "b", latency_s=0.05) as simulator,
        a_scheduler(keys_for(simulator), hedging=True) as scheduler,
    ):
        await assess_all(scheduler, [a_task(n) for n in range(60)])
        simulator.fault("slow", times=1)
        began = time.monotonic()
        outcome = await scheduler.assess(a_task(99))
        took = time.monotonic() - began
        found = states(scheduler)
        assert sum(key.in_flight for key in scheduler.pool.snapshot()) == 0
    assert isinstance(outcome, Assessed)
    assert outcome.attempts == 2
    assert took < 0.4  # the slow one takes 0.5
    assert found == {"a": "ready", "b": "ready"}


async def test_a_cancelled_task_ends_both_its_calls():
    async with (
        a_simulator("a", "b", latency_s=0.05) as simulator,
        a_scheduler(keys_for(simulator), hedging=True) as scheduler,
    ):
        await assess_all(scheduler, [a_task(n) for n in range(60)])
        simulator.fault("timeout")
        task = asyncio.ensure_future(scheduler.assess(a_task(99)))
        await eventually(lambda: sum(key.in_flight for key in scheduler.pool.snapshot()) == 2)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert sum(key.in_flight for key in scheduler.pool.snapshot()) == 0


async def test_hedging_is_off_unless_asked_for():
    async with a_simulator("a", "b", latency_s=0.02) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        await assess_all(scheduler, [a_task(n) for n in range(60)])
        simulator.fault("slow", times=5)
        outcomes = await assess_all(scheduler, [a_task(n) for n in range(5)])
    assert [outcome.attempts for outcome in outcomes] == [1] * 5
