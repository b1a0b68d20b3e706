"""Limits that Redis keeps for the workers of several hosts; here each worker is a pool with a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.llm_parts import a_task, keys_for, simulated
from tests.unit.test_llm_scheduler import Pictures, a_simulator
from tests.waiting import eventually
from tests.windows import most_in_a_window
from vision_stream.errors import ConfigError
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.pool import KeyPool, PooledKey
from vision_stream.llm.redis_limits import PREFIX, RedisLimits
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.llm.waiting import WaitingRoom
from vision_stream.messages import Assessed
from vision_stream.settings import LLMSettings, SchedulerSettings
from vision_stream.stores.redis_link import RedisLink


@dataclass
class Caller:
    """Calls as often as it may."""

    limits: RedisLimits
    pool: KeyPool
    room: WaitingRoom
    sent: list[tuple[str, float]] = field(default_factory=list)

    async def call(self, until: float, tokens: int = 0) -> None:
        while lease := await self.room.lease(50, until, tokens):
            self.room.sent(lease)
            self.sent.append((lease.key_id, time.monotonic()))
            await asyncio.sleep(0)
            self.pool.report_answered(lease, time.monotonic())
            self.room.ended()


@asynccontextmanager
async def a_caller(url: str, *keys: PooledKey, share: float = 1.0) -> AsyncIterator[Caller]:
    link = RedisLink(SecretStr(url), timeout_s=0.5, rest_s=0.2)
    limits = RedisLimits(link, share=share)
    pool = KeyPool(keys, limits=limits.limits)
    room = WaitingRoom(pool, 50, reserver=limits)
    limits.changed = lambda: (pool.relimit(limits.limits), room.look())[0]
    await limits.start()
    try:
        yield Caller(limits, pool, room)
    finally:
        await room.close()
        await limits.close()
        await link.close()


@asynccontextmanager
async def callers(count: int, url: str, *keys: PooledKey) -> AsyncIterator[list[Caller]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(a_caller(url, *keys)) for _ in range(count)]


async def run(crowd: list[Caller], seconds: float, tokens: int = 0) -> list[tuple[str, float]]:
    until = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(*(caller.call(until, tokens) for caller in crowd for _ in range(4)))
    return [call for caller in crowd for call in caller.sent]


@pytest.mark.parametrize("workers", [1, 4])
async def test_together_the_workers_use_what_is_allowed_and_no_window_holds_more(redis_url, workers):
    keys = [PooledKey(id=name, qps_limit=40) for name in "ab"]
    async with callers(workers, redis_url, *keys) as crowd:
        sent = await run(crowd, 3.0)
    for key in "ab":
        times = [at for key_id, at in sent if key_id == key]
        assert most_in_a_window(times, 1.0) <= 40
        assert len(times) >= 0.9 * 40 * 2  # bursts at 0, 1.03 and 2.05 s


async def test_tokens_are_shared_and_corrected(redis_url):
    key = PooledKey(id="key-001", tpm_limit=3000)
    async with callers(2, redis_url, key) as (one, other):
        soon = asyncio.get_running_loop().time() + 0.3
        lease = await one.room.lease(50, soon, tokens=2000)
        assert lease is not None
        assert await other.room.lease(50, soon, tokens=2000) is None
        one.pool.report_answered(lease, time.monotonic(), tokens=900)
        one.room.ended()
        later = asyncio.get_running_loop().time() + 3.0
        assert await other.room.lease(50, later, tokens=2000) is not None


async def test_a_reservation_that_nobody_stamped_comes_free_by_itself(redis_url):
    async with a_caller(redis_url, PooledKey(id="k", qps_limit=1)) as caller:
        lease = await caller.room.lease(50, asyncio.get_running_loop().time() + 1)
        assert lease is not None
        client = caller.limits.link.client
        entries: list[Any] = await client.zrange(f"{PREFIX}k::q", 0, -1, withscores=True)
        ((member, score),) = entries
        seconds, micros = await client.time()
        assert 50e6 < score - (seconds * 1e6 + micros) <= 60e6  # and stays no longer than that
        await client.zadd(f"{PREFIX}k::q", {member: score - 62e6})
        assert await caller.room.lease(50, asyncio.get_running_loop().time() + 3)


async def test_calls_under_way_are_limited_over_all_workers_and_one_that_ends_frees_its_seat(redis_url):
    key = PooledKey(id="k", max_concurrent=3)
    async with callers(3, redis_url, key) as crowd:
        soon = asyncio.get_running_loop().time() + 0.3
        leases = [await caller.room.lease(50, soon) for caller in crowd]
        assert None not in leases
        assert [await caller.room.lease(50, soon) for caller in crowd] == [None] * 3
        crowd[0].pool.report_answered(leases[0], time.monotonic())  # type: ignore[arg-type]
        crowd[0].room.ended()
        assert await crowd[1].room.lease(50, asyncio.get_running_loop().time() + 3)


async def test_the_seat_of_a_worker_that_died_comes_free_by_itself(redis_url):
    async with a_caller(redis_url, PooledKey(id="k", max_concurrent=1)) as dead:
        assert await dead.room.lease(50, asyncio.get_running_loop().time() + 1)
    async with a_caller(redis_url, PooledKey(id="k", max_concurrent=1)) as caller:
        client = caller.limits.link.client
        entries: list[Any] = await client.zrange(f"{PREFIX}k::c", 0, -1, withscores=True)
        ((member, until),) = entries
        seconds, micros = await client.time()
        assert 50e6 < until - (seconds * 1e6 + micros) <= 60e6  # its call had ended by then
        await client.zadd(f"{PREFIX}k::c", {member: until - 62e6})
        assert await caller.room.lease(50, asyncio.get_running_loop().time() + 3)


async def test_one_worker_probes_a_cooled_key_and_the_key_rests_for_all_when_that_fails(redis_url):
    async with callers(2, redis_url, PooledKey(id="k")) as (one, other):
        for caller in (one, other):
            caller.pool.cool_until("k", time.monotonic() + 0.05, 1, "", now=time.monotonic())
        probe = await one.room.lease(50, asyncio.get_running_loop().time() + 2)
        assert probe is not None
        assert probe.probe
        assert await other.room.lease(50, asyncio.get_running_loop().time() + 0.2) is None
        one.pool.report_rate_limited(probe, time.monotonic(), retry_after=0.5)
        failed_at = time.monotonic()
        one.room.ended()
        again = await other.room.lease(50, asyncio.get_running_loop().time() + 3)
        assert again is not None
        assert again.probe
        assert time.monotonic() - failed_at >= 0.45


async def test_a_cooled_key_is_probed_also_while_another_without_limits_answers(redis_url):
    async with callers(2, redis_url, PooledKey(id="cooled"), PooledKey(id="well")) as (one, other):
        for caller in (one, other):
            caller.pool.cool_until("cooled", time.monotonic() - 0.01, 1, "", now=time.monotonic() - 1.0)
        soon = asyncio.get_running_loop().time() + 5
        leases = [await caller.room.lease(50, soon) for caller in (one, one, other, other)]
        assert [(lease.key_id, lease.probe) for lease in leases if lease] == [
            ("cooled", True),
            ("well", False),
            ("well", False),  # of the other worker, as one probe is all
            ("well", False),
        ]


async def test_without_redis_each_worker_has_its_share_of_the_calls_under_way():
    key = PooledKey(id="k", max_concurrent=4)
    async with a_caller("redis://127.0.0.1:1/0", key, share=0.5) as caller:
        soon = asyncio.get_running_loop().time() + 0.2
        leases = [await caller.room.lease(50, soon) for _ in range(3)]
    assert [lease is not None for lease in leases] == [True, True, False]


async def test_what_nobody_waits_for_any_more_goes_back(redis_url):
    key = PooledKey(id="k", rpm_limit=1)
    async with callers(2, redis_url, key) as (one, other):
        waiting = asyncio.ensure_future(one.room.lease(50, asyncio.get_running_loop().time() + 5))
        await asyncio.sleep(0)  # it is asked for, and not answered
        waiting.cancel()
        lease = await other.room.lease(50, asyncio.get_running_loop().time() + 5)
        assert lease is not None


async def test_with_redis_lost_shares_hold_and_its_return_brings_no_burst(private_redis):
    key = PooledKey(id="k", qps_limit=20)
    async with callers(2, private_redis.url, key) as crowd:
        await eventually(lambda: all(caller.limits._workers == 2 for caller in crowd), 5)
        with capture_logs() as logs:
            calling = asyncio.ensure_future(run(crowd, 9.0))
            await asyncio.sleep(1.5)
            private_redis.kill()
            lost_at = time.monotonic()
            await eventually(lambda: not any(caller.limits.up for caller in crowd), 3)
            await asyncio.sleep(2.5)
            await private_redis.restart()  # empty: what was in it is gone
            await eventually(lambda: all(caller.limits.up for caller in crowd), 8)
            sent = await calling
    times = [at for _, at in sent]
    assert most_in_a_window(times, 1.0) <= 20
    assert len([at for at in times if lost_at + 1.5 < at < lost_at + 2.5]) >= 10  # and work went on
    assert len(times) > 100
    assert [log["event"] for log in logs if "share" in log["event"]] == [
        "each worker keeps its share of the limits"
    ] * 2


async def test_a_worker_that_never_reached_redis_takes_the_share_it_was_given():
    async with a_caller("redis://127.0.0.1:1/0", PooledKey(id="k", qps_limit=20), share=0.25) as caller:
        sent = await run([caller], 2.5)
    assert most_in_a_window([at for _, at in sent], 1.0) == 5


async def test_schedulers_on_redis_keep_a_keys_limit_together(redis_url):
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(a_simulator(*simulated("a", qps_limit=20)))
        schedulers = []
        for _ in range(2):
            link = RedisLink(SecretStr(redis_url))
            stack.push_async_callback(link.close)
            llm = LLMSettings(keys=keys_for(simulator), limit_jitter_s=0.3)
            scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), redis=link)
            await scheduler.start()
            stack.push_async_callback(scheduler.close)
            schedulers.append(scheduler)
        outcomes = await asyncio.gather(*(schedulers[n % 2].assess(a_task(n)) for n in range(60)))
    assert all(isinstance(outcome, Assessed) for outcome in outcomes)
    assert most_in_a_window([call.at for call in simulator.calls], 1.0) <= 20


async def test_weighted_shares_by_priority_where_redis_keeps_the_limits(redis_url):
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(a_simulator(*simulated("big", "mid", "small", qps_limit=1000)))
        link = RedisLink(SecretStr(redis_url))
        stack.push_async_callback(link.close)
        keys = [
            key.model_copy(update={"priority": priority})
            for key, priority in zip(keys_for(simulator), (5, 2, 1), strict=True)
        ]
        llm = LLMSettings(keys=tuple(keys), selection_strategy="weighted")
        scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), redis=link)
        await scheduler.start()
        stack.push_async_callback(scheduler.close)
        await asyncio.gather(*(scheduler.assess(a_task(n)) for n in range(80)))
    assert Counter(call.key for call in simulator.calls) == {"big": 50, "mid": 20, "small": 10}


def test_redis_as_backend_without_redis_is_an_error():
    with pytest.raises(ConfigError, match="Redis is off"):
        LLMScheduler(LLMSettings(limits_backend="redis"), SchedulerSettings(), Pictures(), MemoryCooldowns())
