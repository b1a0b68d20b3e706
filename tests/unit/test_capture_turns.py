"""Whose frame is looked at next: decided without a clock, a thread or a model."""

from __future__ import annotations

import doctest
from itertools import count

import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from vision_stream.settings import ModelSettings
from workers.capture import turns
from workers.capture.detectors import batching, sharing
from workers.capture.detectors.batching import Batching, batching_for
from workers.capture.detectors.sharing import Sharing, share
from workers.capture.turns import Turn, in_turn, pause_s

YOLO, OTHER = "yolo", "other"


def test_the_camera_that_was_served_longest_ago_comes_first():
    early, late, new = Turn(YOLO, since=9.0, served=3), Turn(YOLO, since=1.0, served=8), Turn(YOLO, since=9.5)
    assert in_turn([late, early, new]) == [new, early, late]


def test_of_those_that_were_never_served_the_one_that_waits_longest_comes_first():
    first, second = Turn(YOLO, since=1.0), Turn(YOLO, since=2.0)
    assert in_turn([second, first]) == [first, second]


def test_frames_for_different_models_share_no_batch():
    mine, foreign, another = Turn(YOLO, since=1.0), Turn(OTHER, since=2.0), Turn(YOLO, since=3.0)
    assert in_turn([mine, foreign, another]) == [mine, another]


def test_a_camera_whose_last_frame_failed_is_looked_at_alone_and_in_its_turn():
    suspect, others = Turn(YOLO, since=1.0, alone=True), [Turn(YOLO, since=2.0), Turn(YOLO, since=3.0)]
    assert in_turn([suspect, *others]) == [suspect]
    suspect.served = 5
    assert in_turn([suspect, *others]) == others


@run_with(deadline=None)
@given(
    cameras=st.integers(2, 12),
    most=st.integers(1, 8),
    patience=st.lists(st.integers(0, 40), min_size=12, max_size=12),
    suspects=st.sets(st.integers(0, 11)),
)
def test_no_camera_waits_for_more_batches_than_there_are_others(
    cameras: int, most: int, patience: list[int], suspects: set[int]
):
    """Camera 0 comes back ``patience`` batches after its last one, and so on: some are 40 times as fast as others."""
    numbers = count(1)
    turns_of = [Turn(YOLO, alone=camera in suspects) for camera in range(cameras)]
    returns_at = dict.fromkeys(range(cameras), 0)
    waited = dict.fromkeys(range(cameras), 0)  # batches since it stood in line
    for batch_number in range(200):
        line = [camera for camera in range(cameras) if returns_at[camera] <= batch_number]
        if not line:
            continue
        for camera in line:
            turns_of[camera].since = float(returns_at[camera])
        batch = in_turn([turns_of[camera] for camera in line])[:most]
        for turn in batch:
            turn.served = next(numbers)
        for camera in line:
            if turns_of[camera] in batch:
                returns_at[camera] = batch_number + 1 + patience[camera]
                waited[camera] = 0
            else:
                waited[camera] += 1
                assert waited[camera] <= cameras - 1


# --- waiting for a batch to fill -----------------------------------------------------------------------------------


def test_without_a_wait_an_idle_device_begins_at_once():
    assert pause_s([Turn(YOLO, since=5.0)], Batching(most=8), cameras=50, now=5.0) == 0.0


def test_with_a_wait_it_is_counted_from_the_frame_that_waits_longest():
    line = [Turn(YOLO, since=5.004), Turn(YOLO, since=5.0)]
    assert pause_s(line, Batching(most=8, wait_s=0.01), cameras=50, now=5.006) == pytest.approx(0.004)
    assert pause_s(line, Batching(most=8, wait_s=0.01), cameras=50, now=5.02) == 0.0


@pytest.mark.parametrize(("most", "cameras"), [(2, 50), (8, 2)], ids=["the batch is full", "all cameras are there"])
def test_nothing_is_waited_for_where_nothing_can_come(most: int, cameras: int):
    line = [Turn(YOLO, since=5.0), Turn(YOLO, since=5.0)]
    assert pause_s(line, Batching(most, wait_s=60.0), cameras, now=5.0) == 0.0


# --- how many are worth it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "gpu", "one_by_one", "expected"),
    [
        ({}, False, False, Batching(batching.CPU_BATCH)),
        ({}, True, False, Batching(batching.GPU_BATCH)),
        ({"max_batch": 4}, False, False, Batching(4)),
        ({"max_batch": 4, "batch_wait_ms": 20}, True, False, Batching(4, 0.02)),
        ({"max_batch": 4, "batch_wait_ms": 20}, True, True, Batching(1)),
        ({"max_batch": 1, "batch_wait_ms": 20}, False, False, Batching(1)),
    ],
)
def test_the_device_decides_unless_the_settings_do(
    settings: dict[str, float], gpu: bool, one_by_one: bool, expected: Batching
):
    assert batching_for(ModelSettings.model_validate(settings), gpu=gpu, one_by_one=one_by_one) == expected


@pytest.mark.parametrize(
    ("cores", "threads", "alone_s", "expected"),
    [
        (2, 0, 0.01, Sharing(1, 2)),
        (2, 0, 0.15, Sharing(2, 1)),
        (16, 0, 0.1, Sharing(1, 16)),
        (16, 0, 0.25, Sharing(4, 4)),
        (6, 0, 0.7, Sharing(6, 1)),
        (1, 0, 0.7, Sharing(1, 1)),
        (16, 3, 0.0, Sharing(3, 5)),
        (2, 8, 0.0, Sharing(8, 1)),
    ],
)
def test_cores_are_shared_by_as_many_inferences_as_answer_in_time(
    cores: int, threads: int, alone_s: float, expected: Sharing
):
    assert share(cores, threads, alone_s) == expected


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, batching.CPU_BATCH)])
def test_one_thread_gets_one_picture_at_a_time(threads: int, most: int):
    found = batching_for(ModelSettings(), gpu=False, sharing=Sharing(threads, at_once=4))
    assert found == Batching(most, at_once=4)


@pytest.mark.parametrize("module", [turns, batching, sharing])
def test_the_examples_in_the_docs_hold(module):
    assert doctest.testmod(module).failed == 0
