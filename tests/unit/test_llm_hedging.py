"""A second call for a slow first one: the quicker answer, at a few more calls."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.llm_parts import TimedClient, a_task, keys_for
from tests.simulation.clock import VirtualLoop, run
from tests.unit.test_llm_scheduler import Pictures, a_scheduler, a_simulator, assess_all, states
from tests.waiting import eventually
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.hedging import SAVED_UP
from vision_stream.llm.reports import HEDGE_AT
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import Assessed
from vision_stream.settings import LLMSettings, SchedulerSettings

USUAL_S, SLOW_S = 0.1, 1.0
TAIL = 0.018  # of the calls are slow


@asynccontextmanager
async def hedging_scheduler(client: TimedClient, *, hedging: bool) -> AsyncIterator[LLMScheduler]:
    keys = [{"id": name, "api_key": f"sk-{name}", "base_url": "http://127.0.0.1:1/v1"} for name in "abc"]
    llm = LLMSettings.model_validate({"keys": keys, "hedging": hedging})
    scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), client=lambda: client)
    await scheduler.start()
    await assess_all(scheduler, [a_task(n) for n in range(30)])  # so that it is known what is usual
    try:
        yield scheduler
    finally:
        await scheduler.close()


def latencies(*, hedging: bool, calls: int) -> tuple[list[float], int]:
    """Seconds of each task, and how many calls the endpoint got; two of a hundred take ten times as long."""
    found: list[float] = []

    async def one(scheduler: LLMScheduler, number: int) -> None:
        await asyncio.sleep(number / 100)
        began = time.monotonic()
        assert isinstance(await scheduler.assess(a_task(number)), Assessed)
        found.append(time.monotonic() - began)

    async def all_of_them(loop: VirtualLoop) -> int:
        chance, client = random.Random(1), TimedClient(lambda: USUAL_S)
        async with hedging_scheduler(client, hedging=hedging) as scheduler:
            client.calls, client.latency = 0, lambda: SLOW_S if chance.random() < TAIL else USUAL_S
            await asyncio.gather(*(one(scheduler, n) for n in range(calls)))
            return client.calls

    return found, run(all_of_them, seed=1)


def p99(found: list[float]) -> float:
    return statistics.quantiles(found, n=100)[-1]


def test_a_heavy_tail_is_cut_at_two_percent_more_calls():
    plain, _ = latencies(hedging=False, calls=2000)
    hedged, calls = latencies(hedging=True, calls=2000)
    print(f"p99 {p99(plain):.3f} s, hedged {p99(hedged):.3f} s with {calls / 2000 - 1:.1%} more calls")
    assert p99(hedged) <= 0.35 * p99(plain)
    assert calls <= 1.02 * 2000 + SAVED_UP  # which a quiet time before has left


def test_the_loser_is_cancelled_and_its_key_is_none_the_worse():
    async def one_slow(loop: VirtualLoop) -> None:
        client = TimedClient(lambda: USUAL_S)
        async with hedging_scheduler(client, hedging=True) as scheduler:
            await assess_all(scheduler, [a_task(n) for n in range(60)])
            latencies_s = iter((SLOW_S, USUAL_S))
            client.latency = lambda: next(latencies_s)
            began = loop.time()
            outcome = await scheduler.assess(a_task(99))
            took = loop.time() - began
            assert isinstance(outcome, Assessed)
            assert outcome.attempts == 2
            assert took == pytest.approx(USUAL_S * HEDGE_AT + USUAL_S)  # when it is late, and then the second's answer
            assert client.cancelled == 1
            assert sum(key.in_flight for key in scheduler.pool.snapshot()) == 0
            assert set(states(scheduler).values()) == {"ready"}

    run(one_slow, seed=1)


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
