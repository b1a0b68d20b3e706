"""What is done behind a committed offset, as text beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_stream.delivery.marks import FARTHEST, Place
from vision_stream.delivery.offsets import PartitionLedger

BROKERS_LIMIT = 4096  # offset.metadata.max.bytes


@given(st.integers(0, 1 << 60), st.sets(st.integers(1, FARTHEST)))
def test_marks_say_what_was_done(offset: int, behind: set[int]):
    place = Place(offset, frozenset(offset + n for n in behind))
    assert Place.of(offset, place.marks) == place


def test_marks_stay_under_the_brokers_limit_and_leave_out_what_is_too_far_behind():
    place = Place(100, frozenset(range(101, 101 + 2 * FARTHEST)))
    assert len(place.marks) <= BROKERS_LIMIT
    assert Place.of(100, place.marks).done == frozenset(range(101, 101 + FARTHEST))


@pytest.mark.parametrize("marks", [None, "", "NO_METADATA", "done1:", "done1:%%%", "done1:A", "done2:Ag=="])
def test_what_is_not_ours_marks_nothing(marks: str | None):
    assert Place.of(7, marks) == Place(7)


def test_offsets_done_before_are_passed_over_in_order():
    ledger = PartitionLedger(5, done=(6, 8))
    assert [ledger.take(o) for o in (5, 6, 7, 8, 9)] == [True, False, True, False, True]
    assert ledger.missing() is None
    assert ledger.finish(7) == []
    assert ledger.finish(5) == [5, 6, 7, 8]
    assert ledger.committable == 9


def test_offsets_done_before_may_come_after_the_one_before_them_is_finished():
    ledger = PartitionLedger(5, done=(6, 7))
    assert ledger.take(5)
    assert ledger.finish(5) == [5, 6, 7]

    assert [ledger.take(6), ledger.take(7), ledger.take(8)] == [False, False, True]
    assert ledger.missing() is None


def test_an_offset_done_before_does_not_hide_a_hole_before_it():
    ledger = PartitionLedger(5, done=(8,))
    assert not ledger.take(8)
    assert ledger.missing() == 5
