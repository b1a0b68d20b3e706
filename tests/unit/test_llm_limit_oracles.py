"""Our windows beside those of two well-known libraries: the same answers to the same calls."""

from __future__ import annotations

from types import SimpleNamespace

import limits.storage.memory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from pyrate_limiter import InMemoryBucket, Rate, RateItem

from vision_stream.llm.limits import SlidingWindow

gaps_ms = st.lists(st.integers(0, 400), max_size=300)


def taken(window: SlidingWindow, now: float) -> bool:
    if window.free_at() > now:
        return False
    window.take(now)
    return True


@given(gaps_ms, st.integers(1, 12))
def test_a_window_answers_as_pyrate_limiters_bucket_does(gaps, limit):
    window, bucket, now_ms = SlidingWindow(limit, 1000.0), InMemoryBucket([Rate(limit, 1000)]), 1_000_000
    for gap in gaps:
        now_ms += gap
        ours, theirs = taken(window, float(now_ms)), bucket.put(RateItem("call", now_ms))
        # On the very millisecond at which a call leaves the window theirs still counts it.
        assert ours == theirs or (ours and not theirs and _on_the_edge(bucket, now_ms, ours))
        if ours != theirs:
            break


def _on_the_edge(bucket: InMemoryBucket, now_ms: int, _: bool) -> bool:
    return any(item.timestamp == now_ms - 1000 for item in bucket.items)


@settings(deadline=None)
@given(gaps_ms, st.integers(1, 12))
def test_all_that_a_window_lets_go_the_moving_window_of_limits_lets_go_too(gaps, limit):
    clock = [1_000_000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits.storage.memory, "time", SimpleNamespace(time=lambda: clock[0]))
        storage = MemoryStorage()
        oracle, item = MovingWindowRateLimiter(storage), RateLimitItemPerSecond(limit)
        window = SlidingWindow(limit, 1.001)  # it, too, counts a call on the edge
        for gap in gaps:
            clock[0] += gap / 1000
            if taken(window, clock[0]):
                assert oracle.hit(item, "key")
        if storage.timer is not None:
            storage.timer.cancel()
            storage.timer.join()
