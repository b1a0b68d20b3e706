import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.capture import pacing
from workers.capture.pacing import Pace, backoff_s


def due(fps: float, times: list[float]) -> list[float]:
    pace = Pace(fps)
    return [t for t in times if pace.due(t)]


def test_a_25_fps_camera_looked_at_twice_a_second_gives_two_frames_a_second():
    assert len(due(2.0, [i / 25 for i in range(248)])) == 20


def test_a_camera_that_is_slower_than_wanted_loses_no_frame():
    times = [float(i) for i in range(10)]
    assert due(5.0, times) == times


def test_jitter_costs_no_frame_of_a_camera_at_the_wanted_rate():
    jittery = [i / 10 + (0.008 if i % 2 else -0.0) for i in range(50)]
    assert due(10.0, jittery) == jittery


def test_after_a_gap_frames_do_not_come_in_a_burst():
    times = [0.0, 0.5, 10.0, 10.1, 10.2, 10.5]
    assert due(2.0, times) == [0.0, 0.5, 10.0, 10.5]


@given(attempt=st.integers(0, 10_000), chance=st.floats(0, 1))
def test_a_wait_before_a_retry_is_never_longer_than_the_longest_nor_nothing(attempt, chance):
    assert 0 < backoff_s(attempt, chance, first_s=0.5, max_s=30) <= 30


def test_waits_before_retries_grow():
    waits = [backoff_s(attempt, 1.0) for attempt in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_chance_spreads_cameras_over_half_of_the_wait():
    assert backoff_s(3, 0.0) == pytest.approx(2.0)
    assert backoff_s(3, 1.0) == pytest.approx(4.0)


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(pacing).failed == 0
