"""Limits that nobody configured, found out from a key's refusals."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.llm_parts import a_task, keys_for, simulated
from tests.unit.test_llm_scheduler import Pictures, a_simulator, assess_all
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.learned_limits import SLICES, START, LearnedLimits, _paced, _window
from vision_stream.llm.limits import KeyLimits, SlidingWindow, key_limits
from vision_stream.llm.pool import KeyPool, Lease
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import Assessed
from vision_stream.settings import LLMSettings, SchedulerSettings


def driven(
    ours: LearnedLimits, real: KeyLimits, seconds: float, *, begin: float = 1000.0, step_s: float = 0.002
) -> list[tuple[float, bool]]:
    """(when, accepted) of calls made as often as the limits let them, each answered 50 ms later."""
    pool = KeyPool(["key-001"], limits=lambda key: ours, min_cooldown=0.1, uniform=random.Random(1).uniform)
    made: list[tuple[float, bool]] = []
    waiting: list[tuple[float, Lease, float | None]] = []
    for n in range(int(seconds / step_s)):
        now = begin + n * step_s
        while waiting and waiting[0][0] <= now:
            _, lease, wait_s = waiting.pop(0)
            if wait_s is None:
                pool.report_answered(lease, now)
            else:
                pool.report_rate_limited(lease, now, wait_s)
        acquired = pool.acquire(now)
        if isinstance(acquired, Lease):
            pool.report_sent(acquired, now)
            free_at = real.free_at()
            if free_at <= now:
                real.take(now)
            made.append((now, free_at <= now))
            waiting.append((now + 0.05, acquired, None if free_at <= now else free_at - now))
    return made


@pytest.mark.parametrize("limits", [(20, None), (150, None), (None, 60), (None, 300), (None, 900)])
def test_ninety_five_percent_of_a_hidden_limit_is_found_within_a_minute_at_a_percent_of_refusals(limits):
    made = driven(LearnedLimits(), key_limits(*limits, jitter_s=0.0), 180.0)
    allowed = (limits[0] or 0) * 60.0 or limits[1]
    after = [accepted for at, accepted in made if 1060.0 <= at < 1120.0]
    assert sum(after) >= 0.95 * allowed
    refused = [accepted for _, accepted in made].count(False)
    assert refused <= max(2, 0.01 * len(made))  # of 60 a minute one is more than a percent for a minute and a half


@pytest.mark.parametrize("minute", [30, 60, 100, 120, 200, 300, 900])
def test_of_the_first_minute_one_call_is_refused_or_a_percent_where_that_is_more(minute):
    made = driven(LearnedLimits(), key_limits(None, minute, jitter_s=0.0), 60.0, step_s=0.004)
    refused = [accepted for _, accepted in made].count(False)
    assert 1 <= refused <= max(1, 0.01 * len(made))  # no refusal, and nothing would be known


def test_a_free_endpoint_is_held_back_no_more_after_three_quarters_of_a_minute():
    made = driven(LearnedLimits(), KeyLimits(()), 47.0)
    assert len([at for at, _ in made if at < 1001.0]) <= START
    assert len([at for at, _ in made if at >= 1046.0]) >= 400  # as fast as it is driven


def test_what_was_learned_is_kept_over_a_restart(tmp_path):
    file = tmp_path / "key.learned"
    driven(LearnedLimits(file), key_limits(20, None, jitter_s=0.0), 20.0)
    made = driven(LearnedLimits(file), key_limits(20, None, jitter_s=0.0), 10.0, begin=5000.0)
    assert all(accepted for _, accepted in made)
    assert len(made) >= 0.9 * 200


def test_a_raised_limit_is_found_out():
    ours = LearnedLimits()
    driven(ours, key_limits(50, None, jitter_s=0.0), 10.0)
    made = driven(ours, key_limits(100, None, jitter_s=0.0), 240.0, begin=1010.0)
    last, first = ([accepted for at, accepted in made if low <= at < low + 20].count(True) for low in (1230, 1010))
    assert last > 1.05 * first


def test_a_lowered_limit_is_followed():
    ours = LearnedLimits()
    driven(ours, key_limits(50, None, jitter_s=0.0), 10.0)
    made = driven(ours, key_limits(20, None, jitter_s=0.0), 60.0, begin=1010.0)
    assert [accepted for at, accepted in made if at >= 1030].count(False) <= 6


def test_a_broken_file_is_as_none(tmp_path):
    (tmp_path / "key.learned").write_text("{")
    assert LearnedLimits(tmp_path / "key.learned").windows[0].span_s == 1 / START


def refused_often(limits: LearnedLimits, times: int) -> None:
    for n in range(100):
        slots = limits.reserve(1000.0 + n / 1000)
        assert slots is not None
        limits.stamp(slots, 1000.0 + n / 1000)
    for n in range(times):
        limits.refused(1000.2 + n / 1000, 0.5)


async def test_a_burst_of_refusals_is_kept_once_a_turn_of_the_loop(tmp_path):
    file = tmp_path / "key.learned"
    refused_often(LearnedLimits(file), 10)
    assert not file.exists()
    await asyncio.sleep(0)
    assert msgspec.json.decode(file.read_bytes())["second"] == 90
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_that_is_full_is_said_once_and_costs_only_what_would_be_kept(tmp_path):
    (tmp_path / "a file").touch()
    limits = LearnedLimits(tmp_path / "a file" / "key.learned")
    pool = KeyPool(["key-001"], limits=lambda key: limits)
    lease = pool.acquire(1000.0)
    assert isinstance(lease, Lease)
    with capture_logs() as said:
        refused_often(limits, 10)
        pool.report_rate_limited(lease, 1000.5, 0.5)
    status = pool.status("key-001", 1000.6)
    assert (status.state, status.in_flight) == ("cooling", 0)
    assert [line["log_level"] for line in said] == ["warning"]
    assert limits.windows[0].limit < 100


def test_waits_of_two_kinds_in_one_burst_make_no_limit_of_one(tmp_path):
    limits = LearnedLimits(jitter_s=0.0)
    refused_often(limits, 1)
    limits.refused(1000.3, 30.0)
    assert [(window.limit, window.span_s) for window in limits.windows] == [(99, 1.0)]


@pytest.mark.parametrize("calls", [8, 63, 64, 65, 69, 87, 109, 137, 4095])
def test_the_start_is_paced_as_fast_as_it_says(calls):
    at_once, span_s = _paced(calls)
    assert at_once / span_s == pytest.approx(calls)
    assert 1 / span_s <= SLICES


@settings(deadline=None)
@given(limit=st.integers(1, 30), sent=st.lists(st.floats(0.0, 100.0), max_size=60).map(sorted), more=st.integers(0, 40))
def test_a_window_made_anew_is_as_one_that_saw_all_calls(limit, sent, more):
    ours, seen = _window(limit, 1.0, deque(sent)), SlidingWindow(limit, 1.0)
    for at in sent:
        seen.take(at)
    for n in range(more):
        assert ours.free_at() == seen.free_at()
        ours.take(101.0 + n)
        seen.take(101.0 + n)
    assert ours.free_at() == seen.free_at()


async def test_a_scheduler_finds_out_what_nobody_configured(tmp_path):
    async with a_simulator(*simulated("a", qps_limit=5)) as simulator:
        keys = keys_for(simulator, qps_limit=None)
        llm = LLMSettings(keys=keys, learn_limits=True, limit_jitter_s=0.1)
        scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), limits_dir=tmp_path)
        await scheduler.start()
        outcomes = await assess_all(scheduler, [a_task(n) for n in range(25)])
        await scheduler.close()
    assert all(isinstance(outcome, Assessed) for outcome in outcomes)
    assert 0 < [call.status for call in simulator.calls].count(429) <= 10
    (file,) = tmp_path.glob("*.learned")
    assert 4 <= msgspec.json.decode(file.read_bytes())["second"] <= 7
