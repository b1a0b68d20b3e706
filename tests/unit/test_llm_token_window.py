"""A limit of tokens, reserved as estimated and corrected afterwards."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import a_scheduler, a_simulator, assess_all
from vision_stream.llm.limits import PENDING_S, key_limits
from vision_stream.llm.pool import KeyPool, Lease, PooledKey, WaitUntil
from vision_stream.llm.shared_limits import LimitsDirectory
from vision_stream.llm.token_window import TokenWindow
from vision_stream.messages import Assessed, Expired


def take(window: TokenWindow, now: float, tokens: int) -> bool:
    if window.free_at(tokens) > now:
        return False
    window.stamp(window.reserve(now, tokens), now)
    return True


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 20_000)), max_size=200))
def test_no_window_of_a_minute_holds_more_tokens_than_the_limit(calls):
    window, now, made = TokenWindow(10_000, 60.0), 0.0, list[tuple[float, int]]()
    for tokens, wait_ms in calls:
        now += wait_ms / 1000
        if take(window, now, tokens):
            made.append((now, tokens))
        else:
            assert sum(t for at, t in made if at > now - 60.0) + tokens > 10_000  # it was refused for a reason
    for last, _ in made:
        assert sum(tokens for at, tokens in made if last - 60.0 < at <= last) <= 10_000


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), max_size=60))
def test_what_calls_took_counts_in_place_of_what_they_were_thought_to_take(calls):
    window, used = TokenWindow(1_000_000, 60.0), 0
    for number, (estimate, taken) in enumerate(calls):
        slot = window.reserve(float(number), estimate)
        window.stamp(slot, float(number))
        window.correct(slot, taken)
        used += taken
    assert window.used(now=59.0) == sum(taken for _, taken in calls[:60])


def test_a_late_correction_of_a_call_that_has_left_the_window_changes_nothing():
    window = TokenWindow(1000, 60.0)
    slot = window.reserve(0.0, 900)
    window.stamp(slot, 0.0)
    take(window, 61.0, 500)
    window.correct(slot, 5000)
    assert window.used(61.0) == 500


def test_a_call_heavier_than_the_limit_goes_alone():
    window = TokenWindow(1000, 60.0)
    assert take(window, 0.0, 5000)
    assert not take(window, 1.0, 1)
    assert not take(TokenWindow(1000, 60.0, whole=False), 0.0, 5000)


def test_a_ring_that_is_full_waits_for_its_oldest_call():
    window = TokenWindow(1000, 60.0)
    assert [take(window, float(n), 1) for n in range(21)].count(True) == 19
    assert window.free_at(1) == 60.0


@pytest.mark.parametrize(
    "shared", [False, pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="flock"))]
)
def test_the_pool_reserves_before_and_corrects_after(tmp_path, shared):
    key = PooledKey(id="key-001", tpm_limit=3000)
    pool = KeyPool([key], limits=LimitsDirectory(tmp_path, jitter_s=0.0) if shared else None)
    lease = pool.acquire(0.0, tokens=2000)
    assert isinstance(lease, Lease)
    assert isinstance(pool.acquire(0.0, tokens=2000), WaitUntil)
    pool.report_answered(lease, 1.0, tokens=900)
    assert isinstance(pool.acquire(1.0, tokens=2000), Lease)


@pytest.mark.skipif(sys.platform != "linux", reason="flock")
def test_processes_share_the_tokens_and_one_that_died_gives_its_back(tmp_path):
    one, other = (LimitsDirectory(tmp_path)(PooledKey(id="k", tpm_limit=3000)) for _ in range(2))
    assert one.reserve(0.0, 2000)
    assert other.reserve(0.0, 2000) is None
    assert other.look_again_at(0.0, 2000) == pytest.approx(0.02)
    assert other.reserve(PENDING_S + 61.0, 2000)


def test_a_changed_limit_counts_the_tokens_that_went_out_under_the_old_one():
    old, new = key_limits(None, None, 10_000), key_limits(None, None, 5000)
    old.take(0.0, 4000)
    new.follow(old, now=1.0)
    assert new.free_at(2000) == pytest.approx(60.6)


async def test_a_scheduler_keeps_a_keys_tokens_a_minute():
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator, tpm_limit=9000)) as scheduler:
        outcomes = await assess_all(scheduler, [a_task(n, deadline_in_s=1.5) for n in range(30)])
    assert {type(outcome) for outcome in outcomes} == {Assessed, Expired}
    assert sum(call.input_tokens + call.output_tokens for call in simulator.calls) <= 9000
    assert len(simulator.calls) > 9000 // 2500  # the corrections made room
