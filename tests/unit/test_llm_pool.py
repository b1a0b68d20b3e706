"""The key pool as dialogues: what it is asked, when, and what it answers."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_stream.llm.limits import KeyLimits, key_limits
from vision_stream.llm.pool import AllDisabled, KeyPool, Lease, PooledKey, WaitForReport, WaitUntil


def a_pool(*keys: str | PooledKey, **options) -> KeyPool:
    return KeyPool(keys or ("key-001",), **{"uniform": lambda low, high: high, **options})


def take(pool: KeyPool, now: float = 0.0) -> Lease:
    lease = pool.acquire(now)
    assert isinstance(lease, Lease)
    return lease


# -- cooldowns


def test_a_cooled_key_returns_with_a_single_probe():
    pool = a_pool(min_cooldown=5.0)
    pool.report_rate_limited(take(pool, now=100.0), now=100.0)
    assert pool.acquire(now=104.9) == WaitUntil(at=105.0)
    assert pool.acquire(now=105.0) == Lease("key-001", probe=True)
    assert pool.acquire(now=105.0) == WaitForReport("key-001")  # one probe, not a herd


def test_an_answered_probe_brings_the_key_back_for_all():
    pool = a_pool(min_cooldown=5.0)
    pool.report_failed(take(pool), now=0.0)
    pool.report_answered(take(pool, now=5.0), now=5.1)
    assert [pool.acquire(now=5.1), pool.acquire(now=5.1)] == [Lease("key-001")] * 2


def test_a_cancelled_probe_leaves_the_probing_to_the_next():
    pool = a_pool(min_cooldown=5.0)
    pool.report_failed(take(pool), now=0.0)
    pool.release(take(pool, now=5.0), now=5.0)
    assert pool.acquire(now=5.0) == Lease("key-001", probe=True)


def test_cooldowns_grow_with_failures_in_a_row_up_to_the_longest_and_start_again_after_an_answer():
    pool, now, lengths = a_pool(min_cooldown=5.0, max_cooldown=60.0), 0.0, []
    for _ in range(5):
        pool.report_rate_limited(take(pool, now), now)
        until = pool.acquire(now)
        assert isinstance(until, WaitUntil)
        lengths.append(until.at - now)
        now = until.at
    assert lengths == [5.0, 15.0, 45.0, 60.0, 60.0]  # the jitter at its largest: three times the last
    pool.report_answered(take(pool, now), now)
    pool.report_failed(take(pool, now), now)
    assert pool.acquire(now) == WaitUntil(now + 5.0)


def test_a_key_that_fails_while_another_is_well_cools_for_longer_each_time():
    pool, now, lengths = a_pool("good", "bad", min_cooldown=5.0, max_cooldown=60.0), 0.0, []
    for _ in range(5):
        bad = next(lease for lease in (take(pool, now), take(pool, now)) if lease.key_id == "bad")
        pool.report_failed(bad, now)
        lengths.append(pool.status("bad", now).cooling_for_s)
        now += lengths[-1]
    assert lengths == [5.0, 15.0, 45.0, 60.0, 60.0]


@pytest.mark.parametrize("keys", [1, 2, 4, 8, 20])
def test_while_no_key_is_well_one_is_probed_every_few_seconds_however_long_that_lasts(keys: int):
    pool = a_pool(*(f"key-{n:03}" for n in range(keys)), uniform=random.Random(7).uniform)
    now, probes = 0.0, []
    while now < 3600:
        lease = pool.acquire(now)
        if isinstance(lease, Lease):
            probes.append(now)
            pool.report_failed(lease, now)
        else:
            assert isinstance(lease, WaitUntil)
            now = lease.at
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(probes))
    assert gaps[int(0.95 * len(gaps))] <= 5.0  # asked of a recovery; an endpoint that is back is seen by then
    assert len(probes) <= 3600  # one a second at most: it is not battered


def test_fifty_calls_in_flight_that_fail_together_are_one_failure():
    pool = a_pool(min_cooldown=5.0)
    leases = [take(pool) for _ in range(50)]
    for lease in leases:
        pool.report_failed(lease, now=1.0)
    assert pool.acquire(now=1.0) == WaitUntil(at=6.0)
    assert pool.status("key-001", now=1.0).failures == 1


@pytest.mark.parametrize(("said", "until"), [(0.4, 100.4), (30.0, 130.0), (None, 105.0), (1e9, 100.0 + 86_400)])
def test_a_rate_limited_key_cools_for_what_the_provider_says_within_reason(said, until):
    pool = a_pool(min_cooldown=5.0)
    pool.report_rate_limited(take(pool, now=100.0), now=100.0, retry_after=said)
    assert pool.acquire(now=100.0) == WaitUntil(at=until)


def test_a_key_that_is_rate_limited_again_cools_for_twice_what_the_provider_says():
    pool = a_pool(min_cooldown=5.0)
    pool.report_rate_limited(take(pool), now=0.0, retry_after=0.4)
    pool.report_rate_limited(take(pool, now=1.0), now=1.0, retry_after=0.4)
    assert pool.acquire(now=1.0) == WaitUntil(at=1.8)


def test_calls_that_were_in_flight_when_a_key_cooled_are_no_second_failure_when_they_fail_later():
    pool = a_pool(min_cooldown=5.0)
    first, late = take(pool), take(pool)
    pool.report_rate_limited(first, now=0.0, retry_after=0.1)
    pool.report_answered(take(pool, now=0.2), now=0.3)
    pool.report_rate_limited(late, now=0.4, retry_after=0.1)
    assert pool.acquire(now=0.4) == WaitUntil(at=0.5)
    assert pool.status("key-001", now=0.4).failures == 0


def test_a_request_that_was_to_blame_takes_its_keys_cooldown_back():
    pool = a_pool(min_cooldown=5.0)
    pool.report_failed(take(pool), now=0.0)
    pool.forgive("key-001")
    assert pool.acquire(now=0.1) == Lease("key-001")


def test_a_key_with_older_failures_is_not_forgiven_them():
    pool = a_pool(min_cooldown=5.0)
    pool.report_failed(take(pool), now=0.0)
    pool.report_failed(take(pool, now=5.0), now=5.0)
    pool.forgive("key-001")
    assert pool.acquire(now=5.1) == WaitUntil(at=10.0)


def test_a_refused_key_is_disabled_and_that_is_news_once():
    pool = a_pool("key-001", "key-002")
    first, second, third = take(pool), take(pool), take(pool)
    assert (first.key_id, third.key_id) == ("key-001", "key-001")
    assert pool.report_unauthorized(first, now=0.0, reason="401")
    assert not pool.report_unauthorized(third, now=0.0, reason="401")
    pool.report_answered(second, now=0.0)
    assert {take(pool, now=n).key_id for n in range(1000)} == {"key-002"}


def test_with_all_keys_disabled_there_is_nothing_to_wait_for():
    pool = a_pool()
    pool.report_unauthorized(take(pool), now=0.0)
    assert pool.acquire(now=1e6) == AllDisabled()
    assert pool.blocked_until(now=1e6) == math.inf
    pool.enable("key-001")
    assert pool.acquire(now=1e6) == Lease("key-001")


def test_blocked_means_that_every_key_is_cooling_or_disabled_and_says_until_when():
    pool = a_pool("key-001", "key-002", "key-003", min_cooldown=5.0)
    one, two, three = take(pool), take(pool), take(pool)
    pool.report_failed(one, now=0.0)
    pool.report_rate_limited(two, now=0.0, retry_after=3.0)
    assert pool.blocked_until(now=0.0) is None
    pool.report_unauthorized(three, now=0.0)
    assert pool.blocked_until(now=0.0) == 3.0
    assert pool.available(now=0.0) == 0
    assert pool.available(now=4.0) == 1


def test_what_another_scheduler_saw_counts_where_it_is_longer():
    pool = a_pool(min_cooldown=5.0)
    pool.report_failed(take(pool), now=0.0)
    pool.cool_until("key-001", until=3.0, failures=1, reason="elsewhere", now=0.0)
    assert pool.acquire(now=0.0) == WaitUntil(at=5.0)
    pool.cool_until("key-001", until=9.0, failures=2, reason="elsewhere", now=0.0)
    assert pool.acquire(now=5.0) == WaitUntil(at=9.0)


# -- limits


def test_a_key_at_its_limit_is_passed_over_and_waited_for_when_it_is_the_only_one():
    pool = a_pool(PooledKey(id="slow", qps_limit=1), PooledKey(id="quick", qps_limit=2), limits=exact)
    leases = [take(pool) for _ in range(3)]
    assert [lease.key_id for lease in leases] == ["slow", "quick", "quick"]
    for lease in leases:
        pool.report_sent(lease, now=0.1)
    assert pool.acquire(now=0.25) == WaitUntil(at=1.1)


def test_a_slot_counts_from_when_its_request_went_out_and_is_held_until_that_is_known():
    pool = a_pool(PooledKey(id="key-001", qps_limit=1), limits=exact)
    lease = take(pool)
    assert isinstance(pool.acquire(now=2.0), WaitUntil)  # still connecting: it may arrive at any time
    pool.report_sent(lease, now=2.0)
    assert pool.acquire(now=2.5) == WaitUntil(at=3.0)
    pool.report_answered(lease, now=2.9)
    assert take(pool, now=3.0).key_id == "key-001"


def test_a_call_that_never_said_when_it_went_out_went_out_by_its_end():
    pool = a_pool(PooledKey(id="key-001", qps_limit=1), limits=exact)
    pool.report_answered(take(pool), now=0.7)
    assert pool.acquire(now=0.7) == WaitUntil(at=1.7)


def exact(key: PooledKey) -> KeyLimits:
    return key_limits(key.qps_limit, key.rpm_limit, jitter_s=0.0)


def test_calls_in_flight_are_limited_by_key_and_a_report_frees_one():
    pool = a_pool(PooledKey(id="key-001", max_concurrent=2))
    first, _ = take(pool), take(pool)
    assert pool.acquire(now=0.0) == WaitForReport("key-001")
    pool.report_answered(first, now=0.5)
    assert pool.acquire(now=0.5) == Lease("key-001")


def test_a_key_that_is_not_enabled_is_not_in_the_pool():
    pool = a_pool(PooledKey(id="resting", enabled=False), PooledKey(id="working"))
    assert {take(pool).key_id for _ in range(5)} == {"working"}
    assert [key.id for key in pool.snapshot(now=0.0)] == ["working"]


# -- strategies


def calls_of(pool: KeyPool, count: int) -> Counter[str]:
    """Each call ends before the next begins."""
    calls: Counter[str] = Counter()
    for n in range(count):
        lease = take(pool, now=float(n))
        calls[lease.key_id] += 1
        pool.report_answered(lease, now=float(n))
    return calls


def test_least_loaded_takes_the_key_with_the_fewest_calls_in_flight():
    pool = a_pool("a", "b", "c")
    leases = {lease.key_id: lease for lease in (take(pool), take(pool), take(pool))}
    pool.report_answered(leases["b"], now=0.0)
    assert take(pool).key_id == "b"


def test_least_loaded_shares_an_even_load_evenly():
    calls = calls_of(a_pool(*(f"key-{n}" for n in range(10))), 1000)
    assert max(calls.values()) / min(calls.values()) <= 1.05


def test_round_robin_takes_turns_and_passes_over_one_that_cools():
    pool = a_pool("a", "b", "c", strategy="round_robin")
    assert [take(pool).key_id for _ in range(4)] == ["a", "b", "c", "a"]
    pool.cool_until("b", until=10.0, failures=1, reason="", now=0.0)
    assert [take(pool).key_id for _ in range(3)] == ["c", "a", "c"]


def test_weighted_shares_by_priority_and_interleaves():
    keys = [PooledKey(id="big", priority=5), PooledKey(id="small", priority=1), PooledKey(id="mid", priority=2)]
    pool = a_pool(*keys, strategy="weighted")
    assert calls_of(pool, 800) == {"big": 500, "mid": 200, "small": 100}
    turns = [take(pool).key_id for _ in range(8)]
    assert "big big big big" not in " ".join(turns)


# -- what is shown


def test_the_success_rate_slides():
    pool = a_pool(min_cooldown=1.0)
    for at in range(4):
        pool.report_answered(take(pool, at * 10.0), now=at * 10.0)
    pool.report_failed(take(pool, 40.0), now=40.0)
    assert pool.status("key-001", now=50.0).success_rate == 0.8
    assert pool.status("key-001", now=400.0).success_rate == 1.0


def test_a_snapshot_says_what_each_key_is_doing():
    pool = a_pool("ready", "cooling", "disabled", min_cooldown=5.0)
    _, cooling, disabled = take(pool), take(pool), take(pool)
    pool.report_failed(cooling, now=0.0, reason="503 overloaded")
    pool.report_unauthorized(disabled, now=0.0, reason="401 wrong key")
    ready, cools, refused = pool.snapshot(now=1.0)
    assert (ready.state, ready.in_flight, ready.calls) == ("ready", 1, 1)
    assert (cools.state, cools.cooling_for_s, cools.reason) == ("cooling", 4.0, "503 overloaded")
    assert (refused.state, refused.reason) == ("disabled", "401 wrong key")
    assert pool.snapshot(now=6.0)[1].state == "probing"


# -- properties


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.floats(0, 4)), max_size=150),
    strategy=st.sampled_from(["least_loaded", "round_robin", "weighted"]),
)
def test_whatever_happens_no_slot_leaks_and_no_limit_is_exceeded(steps, strategy):
    keys = [PooledKey(id=f"key-{n}", max_concurrent=4, priority=n + 1) for n in range(3)]
    pool = a_pool(*keys, strategy=strategy, min_cooldown=1.0, max_cooldown=5.0)
    held: list[Lease] = []
    now = 0.0
    for action, choice, pause in steps:
        now += pause
        if action <= 1 or not held:
            acquired = pool.acquire(now)
            if isinstance(acquired, Lease):
                held.append(acquired)
            elif isinstance(acquired, WaitUntil):
                assert acquired.at > now
        else:
            lease = held.pop(choice % len(held))
            ends = [pool.release, pool.report_answered, pool.report_failed, pool.report_rate_limited]
            ends[action - 2](lease, now)
        in_flight = Counter(lease.key_id for lease in held)
        for key in pool.snapshot(now):
            assert key.in_flight == in_flight[key.id] <= 4
    for lease in held:
        pool.release(lease, now)
    assert all(key.in_flight == 0 for key in pool.snapshot(now))
    assert isinstance(pool.acquire(now + 6.0), Lease)  # nobody is stuck once the longest cooldown is over


# -- at its limit is not cooling


def test_a_key_refused_for_less_than_its_own_window_is_at_its_limit_and_does_not_count_as_cooling():
    pool = a_pool(PooledKey(id="key-001", qps_limit=4))
    pool.report_rate_limited(take(pool), now=0.0, retry_after=0.1)
    assert pool.acquire(now=0.05) == WaitUntil(at=0.1)  # it rests all the same
    assert pool.blocked_until(now=0.05) is None
    assert pool.available(now=0.05) == 1


@pytest.mark.parametrize(("limits", "retry_after"), [({}, 0.1), ({"qps_limit": 4}, 3.0), ({"rpm_limit": 60}, 20.0)])
def test_a_refusal_that_no_window_of_ours_explains_is_a_cooldown(limits, retry_after):
    pool = a_pool(PooledKey(id="key-001", **limits))
    pool.report_rate_limited(take(pool), now=0.0, retry_after=retry_after)
    assert pool.blocked_until(now=0.05) == retry_after


def test_a_key_that_is_refused_again_and_again_is_cooling_whatever_its_limit():
    pool = a_pool(PooledKey(id="key-001", qps_limit=4))
    pool.report_rate_limited(take(pool), now=0.0, retry_after=0.1)
    pool.report_rate_limited(take(pool, now=0.2), now=0.2, retry_after=0.1)
    assert pool.blocked_until(now=0.25) == pytest.approx(0.4)


# -- other settings while it runs


def reconfigured(pool: KeyPool, *keys: PooledKey, now: float = 0.0) -> KeyPool:
    pool.reconfigure(keys, "least_loaded", 5.0, 60.0, lambda key: key_limits(key.qps_limit, key.rpm_limit), now)
    return pool


def test_a_key_that_stays_keeps_its_cooldown_and_its_calls_in_flight():
    key = PooledKey(id="key-001", max_concurrent=2)
    pool = a_pool(key, min_cooldown=5.0)
    first, second = take(pool), take(pool)
    pool.report_failed(first, now=1.0)
    reconfigured(pool, key, PooledKey(id="key-002"), now=1.0)
    assert take(pool, now=1.0).key_id == "key-002"
    assert pool.status("key-001", now=1.0).state == "cooling"
    pool.report_answered(second, now=2.0)
    assert pool.status("key-001", now=2.0).in_flight == 0


def test_a_lease_of_a_key_that_went_ends_like_any_other():
    pool = a_pool(PooledKey(id="old"))
    lease = take(pool)
    reconfigured(pool, PooledKey(id="new"))
    pool.report_sent(lease, now=1.0)
    pool.report_unauthorized(lease, now=1.0)
    assert not pool.current(lease)
    assert take(pool, now=1.0).key_id == "new"


def test_another_secret_under_the_same_id_begins_anew():
    pool = a_pool(PooledKey(id="key-001", identity="one"))
    lease = take(pool)
    reconfigured(pool, PooledKey(id="key-001", identity="two"))
    pool.report_unauthorized(lease, now=1.0)
    assert isinstance(pool.acquire(now=1.0), Lease)


def test_a_changed_limit_counts_what_went_out_under_the_old_one():
    pool = a_pool(PooledKey(id="key-001", qps_limit=4))
    for _ in range(3):
        pool.report_sent(take(pool, now=10.0), now=10.0)
    reconfigured(pool, PooledKey(id="key-001", qps_limit=3), now=10.5)
    assert pool.acquire(now=10.5) == WaitUntil(at=11.025)
