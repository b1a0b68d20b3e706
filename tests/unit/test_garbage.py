"""A process that has started looks for garbage less often, and not among what it started with."""

from __future__ import annotations

import gc
import weakref

import pytest

from vision_stream import garbage


class Node:
    def __init__(self) -> None:
        self.me = self


def test_what_a_process_started_with_is_looked_at_no_more(own_collector):
    started_with = gc.get_freeze_count()
    garbage.settle()
    assert gc.get_freeze_count() > started_with + 1000


def test_garbage_that_comes_later_is_found(own_collector):
    garbage.settle()
    gone = weakref.ref(Node())
    kept = [[] for _ in range(2 * garbage.THRESHOLDS[0])]
    assert kept
    assert gone() is None


@pytest.fixture
def own_collector():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
