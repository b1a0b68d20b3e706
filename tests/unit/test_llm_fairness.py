"""Who gets the next call: among keys by the strategy, as the simulator's call log shows; among tasks by priority."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.llm_parts import TimedClient, a_task, keys_for
from tests.simulation.clock import VirtualLoop, run
from tests.unit.test_llm_scheduler import Pictures, a_scheduler, a_simulator, assess_all
from vision_stream import metrics
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.limits import key_limits
from vision_stream.llm.pool import KeyPool, PooledKey
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.llm.waiting import WaitingRoom
from vision_stream.messages import Assessed, Expired, GroupAssessment
from vision_stream.settings import KeySettings, LLMSettings, SchedulerSettings

KEYS = ("a", "b", "c", "d")
LOOSE = 10_000.0  # calls a second: it is counted, and does not matter


@pytest.fixture(params=["one process", "files"])
def limits_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where calls are counted: in this process, or in files that all processes of a host share."""
    return tmp_path if request.param == "files" else None


@pytest.mark.parametrize("strategy", ["least_loaded", "round_robin"])
async def test_even_load_is_spread_evenly(strategy, limits_dir):
    async with (
        a_simulator(*KEYS, latency_s=0.02) as simulator,
        a_scheduler(
            keys_for(simulator, qps_limit=LOOSE), selection_strategy=strategy, in_flight=8, limits_dir=limits_dir
        ) as scheduler,
    ):
        await assess_all(scheduler, [a_task(n) for n in range(400)])
    counts = Counter(call.key for call in simulator.calls)
    assert sum(counts.values()) == 400
    assert max(counts.values()) / min(counts.values()) <= 1.05


async def test_round_robin_takes_turns(limits_dir):
    async with (
        a_simulator(*KEYS) as simulator,
        a_scheduler(
            keys_for(simulator, qps_limit=LOOSE), selection_strategy="round_robin", in_flight=1, limits_dir=limits_dir
        ) as scheduler,
    ):
        await assess_all(scheduler, [a_task(n) for n in range(12)])
    assert [call.key for call in simulator.calls] == [*KEYS] * 3


async def test_weighted_calls_go_by_priority(limits_dir):
    async with a_simulator("a", "b", "c") as simulator:
        keys = [
            KeySettings(**{**key.model_dump(), "api_key": key.api_key, "priority": priority})
            for key, priority in zip(keys_for(simulator, qps_limit=LOOSE), (1, 2, 5), strict=True)
        ]
        async with a_scheduler(keys, selection_strategy="weighted", in_flight=4, limits_dir=limits_dir) as scheduler:
            await assess_all(scheduler, [a_task(n) for n in range(160)])
    assert Counter(call.key for call in simulator.calls) == {"a": 20, "b": 40, "c": 100}


async def test_least_loaded_leaves_a_slow_key_alone(limits_dir):
    async with a_simulator(*KEYS, latency_s=0.02) as simulator:
        simulator.fault("slow", delay_s=1.0, keys=("a",))
        async with a_scheduler(keys_for(simulator, qps_limit=LOOSE), in_flight=8, limits_dir=limits_dir) as scheduler:
            await assess_all(scheduler, [a_task(n) for n in range(200)])
    counts = Counter(call.key for call in simulator.calls)
    assert counts["a"] < min(counts[key] for key in "bcd") / 3


def waited(outcome: GroupAssessment, came_at: float) -> float:
    return (outcome.times.called_at or time.time()) - came_at


def test_at_twice_the_load_high_priority_waits_a_fifth_of_low_at_most_and_nobody_past_its_deadline():
    high, low, deadline_s, waits = 90, 10, 2.5, dict[int, list[float]]()
    expired: list[float] = []
    cut_off: list[GroupAssessment] = []

    async def one(scheduler: LLMScheduler, number: int, priority: int) -> None:
        await asyncio.sleep(number / 160)  # offered: 160 a second; the key can do 80
        came_at = time.time()
        outcome = await scheduler.assess(a_task(number, priority=priority, deadline_in_s=deadline_s))
        waits.setdefault(priority, []).append(waited(outcome, came_at))
        if isinstance(outcome, Expired):
            expired.append(time.time() - came_at)
            assert outcome.attempts == 0
        elif not isinstance(outcome, Assessed):
            cut_off.append(outcome)

    async def all_of_them(loop: VirtualLoop) -> None:
        key = {"id": "a", "api_key": "sk-a", "base_url": "http://127.0.0.1:1/v1", "max_concurrent": 4}
        llm = LLMSettings.model_validate({"keys": [key]})
        client = TimedClient(lambda: 0.05)
        scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), client=lambda: client)
        await scheduler.start()
        await asyncio.gather(*(one(scheduler, n, high if n % 4 == 0 else low) for n in range(1600)))
        await scheduler.close()

    run(all_of_them, seed=1)
    p95 = {priority: statistics.quantiles(found, n=20)[-1] for priority, found in waits.items()}
    assert p95[high] < p95[low] / 5
    assert expired
    assert max(expired) <= deadline_s
    assert not cut_off, "what cannot make its deadline costs no call"


async def test_a_waiting_task_wakes_when_the_first_key_frees():
    loop, late = asyncio.get_running_loop(), []
    pool = KeyPool([PooledKey(id="a", qps_limit=20)], limits=lambda key: key_limits(20, None, jitter_s=0.0))
    room = WaitingRoom(pool, 50)
    for _ in range(20):
        pool.reconfigure([PooledKey(id="b")], "least_loaded", 5, 60, lambda key: key_limits(None, None), 0.0)
        pool.cool_until("b", free_at := loop.time() + 0.03, 1, "test", now=loop.time())
        assert await room.lease(50, loop.time() + 5)
        late.append(loop.time() - free_at)
        pool.reconfigure([], "least_loaded", 5, 60, lambda key: key_limits(None, None), 0.0)
        room.ended()
    await room.close()
    assert min(late) >= 0
    assert statistics.median(late) <= 0.02


def next_slot() -> float:
    return next(iter(metrics.llm_next_slot.collect())).samples[0].value


async def test_the_metric_says_when_the_next_slot_is():
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator, rpm_limit=1)) as scheduler:
        assert next_slot() == 0.0
        await scheduler.assess(a_task())
        assert 55.0 < next_slot() <= 60.7
