"""Which views of a worker mean that it gets nowhere, and which only look so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from vision_stream.watchdog.judge import Judge, Trouble
from vision_stream.watchdog.view import Partition, StageView, View

AFTER_S = 30.0
STEP_S = 2.0
CALL_S = 25.0  # what a task may wait for its key

See = Callable[[float], View]  # what there is to see after so many seconds


def a_partition(**fields: object) -> Partition:
    """Read up to 5 of 9, and 3 committed; nothing runs."""
    whole = {"committed": 3, "committable": 3, "position": 5, "running": False, "end": 9}
    return Partition("in", 0, **{**whole, **fields})  # pyright: ignore[reportArgumentType]


IDLE = StageView(0, True, 0.0)
BUSY = StageView(7, False, CALL_S)


def seen(*partitions: Partition, stage: StageView = IDLE, **fields: object) -> View:
    return View(beat=0, partitions=partitions, stages={"in": stage}, **fields)  # pyright: ignore[reportArgumentType]


def verdict(see: See, seconds: int, gap_s: float = 1.0) -> Trouble | None:
    """What has to end the worker within ``seconds`` of looking, of which each takes ``gap_s`` on the clock."""
    judge, beats = Judge(AFTER_S, STEP_S), count()
    for second in range(seconds):
        view = see(float(second))._replace(beat=next(beats))
        found = judge.look(view, now=1000.0 + second * gap_s)
        if found and found[0].left_s <= 0:
            return found[0]
    return None


STUCK: dict[str, tuple[See, str]] = {
    "nothing is read": (lambda s: seen(a_partition(position=3)), "stalled"),
    "nothing can be read": (lambda s: seen(a_partition(position=None)), "stalled"),
    "the books never open": (lambda s: seen(a_partition(committed=None, committable=None, position=None)), "stalled"),
    "what was read is not handled": (lambda s: seen(a_partition()), "wedged"),
    "a handler hangs": (lambda s: seen(a_partition(running=True)), "wedged"),
    "a handler hangs past its call": (lambda s: seen(a_partition(running=True), stage=BUSY), "wedged"),
    "a handler hangs, others do not": (
        lambda s: seen(a_partition(running=True), stage=StageView(int(s), False, CALL_S)),
        "wedged",
    ),
    "all is done and no commit comes through": (
        lambda s: seen(a_partition(committable=4 + int(s), end=99, running=True), stage=StageView(int(s), True, 0.0)),
        "wedged",
    ),
    "the stage itself has ended": (lambda s: seen(a_partition(), stage=BUSY), "wedged"),
    "a recovery stands still": (lambda s: seen(recovery="row 7"), "recovery"),
    "the group never takes it": (lambda s: seen(joined=False), "group"),
    "it gets nowhere once the brokers are back": (
        lambda s: seen(a_partition(running=True), away="gone" if s < 100 else None),
        "wedged",
    ),
}  # fmt: skip
FINE: dict[str, See] = {
    "there is nothing to do": lambda s: seen(a_partition(committed=9, committable=9, position=9)),
    "offsets are committed, slowly": lambda s: seen(
        a_partition(committed=int(s / 20), committable=int(s / 20), end=99)
    ),
    "the brokers are away": lambda s: seen(a_partition(running=True), away="Kafka does not answer"),
    "the brokers come and go": lambda s: seen(a_partition(), away="gone" if int(s) % 25 == 0 else None),
    "the brokers tell no end": lambda s: seen(a_partition(end=None)),
    "all keys cool, tasks wait for them until they expire": lambda s: seen(
        a_partition(committed=int(s / 26), committable=int(s / 26), running=True, end=999),
        stage=StageView(int(s / 26), False, CALL_S),
    ),
    "a partition's turn comes late in a busy stage": lambda s: seen(
        a_partition(), stage=StageView(int(s / 20), False, CALL_S)
    ),
    "a partition that is paused for a long queue": lambda s: seen(
        a_partition(position=3), stage=StageView(int(s), False, 0.0)
    ),
    "rebalances follow each other": lambda s: seen(joined=int(s) % 10 < 5, rebalances=int(s / 10)),
    "a recovery gets on, row by row": lambda s: seen(recovery=int(s / 20)),
    "the group waits for a slow member": lambda s: seen(joined=s > 80),
}


@pytest.mark.parametrize("what", STUCK)
def test_a_worker_that_gets_nowhere_has_to_end(what: str):
    see, kind = STUCK[what]
    found = verdict(see, seconds=300)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("what", FINE)
def test_a_worker_that_gets_on_or_cannot_help_it_goes_on(what: str):
    assert verdict(FINE[what], seconds=300) is None


def test_it_ends_when_the_time_is_up_and_not_before():
    see, _ = STUCK["nothing is read"]
    assert verdict(see, seconds=int(AFTER_S)) is None
    assert verdict(see, seconds=int(AFTER_S) + 1)


@pytest.mark.parametrize("gap_s", [3600.0, 0.0, -3600.0])
def test_time_in_which_nobody_looked_does_not_count(gap_s: float):
    """A process that was suspended, and a clock that is said to go backwards."""
    see, _ = STUCK["nothing is read"]
    assert verdict(see, seconds=int(AFTER_S / STEP_S), gap_s=gap_s) is None


def test_a_loop_that_hangs_is_told_before_all_that_follows_from_it():
    judge = Judge(AFTER_S, STEP_S)
    view = seen(a_partition())._replace(beat=7)
    found = [judge.look(view, now=float(s)) for s in range(int(AFTER_S) + 1)]
    assert [trouble.kind for trouble in found[-1]] == ["loop"]
    assert found[-1][0].left_s <= 0
    assert str(found[-1][0]) == "the event loop has not run for 30 s"
