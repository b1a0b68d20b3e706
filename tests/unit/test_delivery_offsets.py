"""The ledger: no offset is acked before all earlier ones of its partition and generation."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vision_stream.delivery.offsets import OffsetLedger, PartitionLedger


@given(st.permutations(range(8)))
def test_acked_is_always_the_longest_finished_prefix(completion_order):
    ledger, acked, finished = PartitionLedger(0), [], set()
    for offset in range(8):
        assert ledger.take(offset)
    for offset in completion_order:
        finished.add(offset)
        acked += ledger.finish(offset)
        assert acked == list(takewhile(finished.__contains__, range(8)))
        assert ledger.committable == len(acked)


def test_an_offset_that_is_read_twice_is_worked_on_once():
    ledger = PartitionLedger(5)
    assert ledger.take(5)
    assert not ledger.take(5)
    ledger.take(6)
    ledger.finish(6)
    assert not ledger.take(6)
    assert not ledger.take(4)  # committed before


def test_a_jump_in_the_offsets_is_not_an_ack_and_what_follows_waits_for_it():
    ledger = PartitionLedger(5)
    assert not ledger.take(8)
    assert ledger.committable == 5
    assert ledger.missing() == 5
    assert [ledger.take(o) for o in (5, 6, 7, 8)] == [True] * 4
    assert ledger.missing() is None


def test_a_hole_that_the_log_has_is_passed_over():
    ledger = PartitionLedger(5)
    ledger.take(8)
    assert ledger.skip(5, 8) == []
    assert ledger.committable == 8
    assert ledger.take(8)
    assert ledger.finish(8) == [8]
    assert ledger.missing() is None


def test_a_hole_behind_running_work_is_passed_over_when_that_has_ended():
    ledger = PartitionLedger(5)
    ledger.take(5)
    ledger.take(9)
    ledger.skip(ledger.missing() or 0, 9)
    assert ledger.committable == 5
    ledger.take(9)
    assert ledger.finish(9) == []
    assert ledger.finish(5) == [5, 9]


def test_a_broken_off_offset_is_missing_until_it_is_taken_again():
    ledger = PartitionLedger(0)
    ledger.take(0)
    ledger.give_back(0)
    assert ledger.missing() == 0
    assert ledger.take(0)
    assert ledger.missing() is None
    assert ledger.finish(0) == [0]


def test_what_finishes_after_a_revocation_acks_nothing():
    ledger = OffsetLedger[str]()
    ledger.open("p", 1, 0)
    ledger.take("p", 1, 0)
    ledger.close(["p"])
    assert ledger.finish("p", 1, 0) == []
    assert not ledger.take("p", 1, 1)


def test_an_old_generation_cannot_ack_in_the_new_one():
    ledger = OffsetLedger[str]()
    ledger.open("p", 1, 0)
    ledger.take("p", 1, 0)
    ledger.open("p", 2, 0)
    assert ledger.finish("p", 1, 0) == []
    assert not ledger.take("p", 1, 1)
    assert ledger.take("p", 2, 0)
    assert ledger.finish("p", 2, 0) == [0]


def test_a_generation_that_is_open_keeps_its_books():
    ledger = OffsetLedger[str]()
    ledger.open("p", 1, 0)
    ledger.take("p", 1, 0)
    ledger.finish("p", 1, 0)
    ledger.open("p", 1, 0)  # Faust seeks to the committed offset several times in a recovery
    assert ledger["p"].committable == 1


class AnyOrder(RuleBasedStateMachine):
    """A worker's life: messages get lost on the way to it, work ends or breaks off, partitions come and go."""

    LOGS = ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 4, 5, 9, 10, 11])  # the second has holes, as retention makes them

    def __init__(self) -> None:
        super().__init__()
        self.ledger = OffsetLedger[int]()
        self.generation = 0
        self.position: dict[int, int] = {}
        self.proving: dict[int, int] = {}
        self.committed = {0: 0, 1: 0}
        self.finished: dict[int, set[int]] = {0: set(), 1: set()}  # by any generation: at least once
        self.taken: dict[int, list[int]] = {}
        self.running: list[tuple[int, int, int]] = []

    @rule(partitions=st.sets(st.integers(0, 1), min_size=1))
    def rebalance(self, partitions):
        for partition in self.position:
            self.committed[partition] = self.ledger[partition].committable
        self.ledger.close(list(self.position))
        self.generation += 1
        self.position = {p: self.committed[p] for p in partitions}
        self.proving, self.taken = {}, {p: [] for p in partitions}
        for partition in partitions:
            self.ledger.open(partition, self.generation, self.committed[partition])

    @precondition(lambda self: self.position)
    @rule(data=st.data(), dropped=st.integers(0, 2))
    def read(self, data, dropped):
        partition = data.draw(st.sampled_from(sorted(self.position)))
        left = [o for o in self.LOGS[partition] if o >= self.position[partition]]
        if partition in self.proving and left:
            self.ledger[partition].skip(self.proving.pop(partition), left[0])
        for offset in left[dropped : dropped + 1]:
            self.position[partition] = offset + 1
            if self.ledger.take(partition, self.generation, offset):
                self.taken[partition].append(offset)
                self.running.append((partition, self.generation, offset))

    @precondition(lambda self: self.position)
    @rule(data=st.data())
    def read_again(self, data):
        partition = data.draw(st.sampled_from(sorted(self.position)))
        missing = self.ledger[partition].missing()
        if missing is not None:
            self.position[partition] = self.proving[partition] = missing

    @precondition(lambda self: self.running)
    @rule(data=st.data(), end=st.sampled_from(["finish", "finish", "break off"]))
    def end(self, data, end):
        call = data.draw(st.sampled_from(self.running))
        self.running.remove(call)
        partition, generation, offset = call
        if end == "finish":
            self.finished[partition].add(offset)
            acked = self.ledger.finish(partition, generation, offset)
            assert acked == sorted(acked)
            assert set(acked) <= self.finished[partition]
        else:
            self.ledger.give_back(partition, generation, offset)

    @invariant()
    def nothing_unfinished_is_acked(self):
        for partition in self.position:
            acked = {o for o in self.LOGS[partition] if o < self.ledger[partition].committable}
            assert acked <= self.finished[partition]

    @invariant()
    def nothing_is_taken_before_what_stands_before_it(self):
        for partition, taken in self.taken.items():
            new = [o for n, o in enumerate(taken) if o > max(taken[:n], default=-1)]
            first = self.committed[partition]
            assert new == [o for o in self.LOGS[partition] if o >= first][: len(new)]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
