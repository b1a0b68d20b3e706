"""Limits hold in every window, not per calendar second or minute."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.windows import most_in_a_window
from vision_stream.llm.limits import SlidingWindow, key_limits


def test_a_whole_burst_goes_at_once_and_the_next_waits_for_the_first_to_leave():
    window = SlidingWindow(limit=3, span_s=1.0)
    for at in (10.0, 10.0, 10.4):
        assert window.free_at() <= at
        window.take(at)
    assert window.free_at() == 11.0
    window.take(11.0)
    window.take(11.0)
    assert window.free_at() == pytest.approx(11.4)


def test_the_turn_of_a_calendar_second_brings_no_second_burst():
    window = SlidingWindow(limit=10, span_s=1.0)
    for _ in range(10):
        window.take(0.99)
    assert window.free_at() > 1.01


def test_no_limits_never_wait():
    assert key_limits(None, None).free_at() == -math.inf


def test_the_minute_holds_the_key_back_where_the_second_does_not():
    limits = key_limits(qps_limit=100, rpm_limit=2, jitter_s=0.0)
    limits.take(0.0)
    limits.take(0.5)
    assert limits.free_at() == 60.0


@pytest.mark.parametrize(
    ("qps", "calls", "span_s"), [(10, 10, 1.0), (2.5, 2, 1.0), (1, 1, 1.0), (0.5, 1, 2.0), (0.1, 1, 10.0)]
)
def test_a_fraction_of_calls_a_second_is_rounded_to_what_never_exceeds_it(qps, calls, span_s):
    [window] = key_limits(qps, None, jitter_s=0.0).windows
    assert (window.limit, window.span_s) == (calls, span_s)


def test_a_reservation_that_nobody_stamps_comes_free_by_itself():
    window = SlidingWindow(limit=1, span_s=1.0)
    window.reserve(10.0)
    assert window.free_at() == 71.0


def test_the_first_stamp_counts():
    window = SlidingWindow(limit=1, span_s=1.0)
    slot = window.reserve(10.0)
    window.stamp(slot, 10.2)
    window.stamp(slot, 12.0)
    assert window.free_at() == 11.2


def test_a_refusal_of_what_was_allowed_widens_the_windows_and_answers_take_that_back():
    limits = key_limits(1, None)
    limits.widen()
    limits.take(10.0)
    assert limits.free_at() == pytest.approx(11.05)
    for _ in range(5000):
        limits.relax()
    assert limits.free_at() == pytest.approx(11.025)


def test_windows_widen_only_so_far():
    limits = key_limits(1, None)
    for _ in range(1000):
        limits.widen()
    limits.take(10.0)
    assert limits.free_at() <= 11.275


@given(
    limit=st.integers(1, 10),
    calls=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=100),
)
def test_requests_that_go_out_late_and_out_of_order_still_exceed_no_window(limit, calls):
    window, now, on_their_way, sent = SlidingWindow(limit, 1.0), 0.0, [], []
    for pause, delay in calls:
        now += pause
        for due, slot in sorted(entry for entry in on_their_way if entry[0] <= now):
            window.stamp(slot, due)
            sent.append(due)
            on_their_way.remove((due, slot))
        if window.free_at() <= now:
            on_their_way.append((now + delay, window.reserve(now)))
    assert most_in_a_window([*sent, *(due for due, _ in on_their_way)], 1.0) <= limit


@given(
    limit=st.integers(1, 20),
    rpm=st.integers(1, 200),
    pauses=st.lists(st.floats(0, 3, allow_subnormal=False), min_size=1, max_size=200),
)
def test_no_window_ever_holds_more_than_its_limit_whatever_the_load(limit, rpm, pauses):
    limits, now, taken = key_limits(limit, rpm, jitter_s=0.0), 1000.0, []
    for pause in pauses:
        now = max(now + pause, limits.free_at())
        limits.take(now)
        taken.append(now)
    assert all(earlier <= later for earlier, later in pairwise(taken))
    assert most_in_a_window(taken, 1.0) <= limit
    assert most_in_a_window(taken, 60.0) <= rpm


@given(limit=st.integers(1, 50))
def test_under_full_load_all_that_is_allowed_is_used(limit):
    limits, now, taken = key_limits(limit, None, jitter_s=0.0), 0.0, 0
    while now < 10.0:
        limits.take(now)
        taken += 1
        now = max(now, limits.free_at())
    assert taken == 10 * limit
