"""Owners of a table's partition: who reads a changelog tells the rows of a former one, whenever they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import pytest
from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from vision_stream.app import App
from vision_stream.delivery.changelog import Table, collect
from vision_stream.delivery.ownership import FencedRecovery, announce, mend
from vision_stream.delivery.tenure import Tenure
from vision_stream.fencing import MARKER, NOBODY, Epoch, Fence
from vision_stream.settings import Settings


class Written(NamedTuple):
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]] | None


class Worker:
    """A worker's table on a changelog of one partition."""

    def __init__(self, log: list[Written]) -> None:
        self.log = log
        self.rows: dict[bytes, bytes] = {}
        self.tenure: Tenure[Any] = Tenure(lambda: self.rows, self._post)
        self._read_to = 0

    def _post(self, partition: int, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None) -> Any:
        def send() -> Any:
            self.log.append(Written(key, value, headers))
            sent = asyncio.get_running_loop().create_future()
            sent.set_result(None)
            return sent

        return collect(send)  # pyright: ignore[reportArgumentType]

    def recover(self) -> None:
        for key, value, headers in self.log[self._read_to :]:
            if self.tenure.takes(0, key, headers):
                self.rows.pop(key, None)
                if value is not None:
                    self.rows[key] = value
        self._read_to = len(self.log)

    async def take_over(self, generation: int, is_member: Callable[[int], Any] | None = None) -> None:
        """As ``FencedRecovery`` does."""
        self.recover()
        while not self.tenure.owned(0):
            if self.tenure.lost(0):
                self.tenure.forget(0)
                self._read_to = 0
            else:
                await announce([(self.tenure, 0)], generation, is_member or a_member)
            self.recover()
        await mend(self.tenure, 0)

    def write(self, key: bytes, value: bytes) -> None:
        self.rows[key] = value
        self.tenure.write(0, key, value)


async def a_member(generation: int) -> bool:
    return True


def compacted(log: list[Written]) -> list[Written]:
    last = {written.key: n for n, written in enumerate(log)}
    return [written for n, written in enumerate(log) if last[written.key] == n]


async def test_a_row_that_a_former_owner_writes_late_is_left_out_by_the_next():
    log: list[Written] = []
    former, owner, after = Worker(log), Worker(log), Worker(log)
    await former.take_over(1)
    former.write(b"cam", b"old")
    await owner.take_over(2)
    owner.write(b"cam", b"new")

    former.write(b"cam", b"late")
    await after.take_over(3)

    assert after.rows == {b"cam": b"new"}


async def test_the_right_row_is_written_again_behind_a_late_one_so_that_compaction_keeps_it():
    log: list[Written] = []
    former, owner, after = Worker(log), Worker(log), Worker(log)
    await former.take_over(1)
    await owner.take_over(2)
    owner.write(b"cam", b"new")
    former.write(b"cam", b"late")
    former.write(b"other", b"nobody else's")
    await after.take_over(3)

    last = Worker(compacted(log))
    last.recover()

    assert last.rows == {b"cam": b"new"}


async def test_an_owner_that_writes_nothing_fences_too():
    log: list[Written] = []
    former, silent, after = Worker(log), Worker(log), Worker(log)
    await former.take_over(1)
    former.write(b"cam", b"right")
    await silent.take_over(2)

    former.write(b"cam", b"late")
    await after.take_over(3)

    assert after.rows == {b"cam": b"right"}


async def test_what_arrives_before_the_next_owner_is_known_counts_for_both():
    log: list[Written] = []
    former, owner = Worker(log), Worker(log)
    await former.take_over(1)
    owner.recover()

    former.write(b"cam", b"just in time")
    await owner.take_over(2)

    assert owner.rows == {b"cam": b"just in time"}


async def test_a_worker_that_keeps_a_partition_keeps_its_number():
    log: list[Written] = []
    worker = Worker(log)
    await worker.take_over(1)

    await worker.take_over(2)

    assert [written.key for written in log] == [MARKER]


async def test_a_worker_that_lost_a_partition_unawares_remembers_nothing_of_it():
    log: list[Written] = []
    zombie, owner = Worker(log), Worker(log)
    await zombie.take_over(1)
    await owner.take_over(2)
    zombie.write(b"cam", b"late")

    await zombie.take_over(3)

    assert zombie.rows == {}


async def test_a_row_sent_again_after_the_partition_was_won_back_counts_as_of_before():
    log: list[Written] = []
    zombie, owner = Worker(log), Worker(log)
    await zombie.take_over(1)
    zombie.write(b"cam", b"undelivered")
    undelivered = log.pop()
    await owner.take_over(2)
    await zombie.take_over(3)

    log.append(undelivered)
    owner.recover()

    assert owner.rows == {}


async def test_the_group_is_asked_after_the_number_is_taken_and_before_it_is_sent():
    log: list[Written] = []
    zombie, owner, after = Worker(log), Worker(log), Worker(log)

    async def frozen_here(generation: int) -> bool:
        if not log:
            await owner.take_over(2)
            owner.write(b"cam", b"right")
        return True  # as it was when the answer was given

    zombie.recover()
    await announce([(zombie.tenure, 0)], 1, frozen_here)
    zombie.write(b"cam", b"late")
    await after.take_over(3)

    assert after.rows == {b"cam": b"right"}


async def test_nothing_is_announced_by_who_is_no_member():
    log: list[Written] = []

    async def expelled(generation: int) -> bool:
        return False

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Worker(log).take_over(1, expelled)

    assert log == []


def test_rows_of_an_older_version_count_whoever_owns_the_partition():
    fence = Fence()
    assert fence.admits(MARKER, Epoch(5, 2).headers())

    assert fence.admits(b"cam", [])
    assert fence.admits(b"cam", [("owner", b"not a number")])
    assert fence.owner == Epoch(5, 2)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([b"a", b"b"]))))
def test_a_row_counts_where_no_higher_number_stands_before_it(written):
    fence, highest = Fence(), NOBODY
    for number, key in written:
        epoch = Epoch(number, 1)
        assert fence.admits(key, epoch.headers()) == (epoch >= highest)
        highest = max(highest, epoch)


# Recovery, a fetch at a time

STATE = TP("vision-stream-camera_state-changelog", 0)


class Record(NamedTuple):
    """As aiokafka gives it."""

    offset: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0


def written(epoch: Epoch, offset: int, key: bytes, value: bytes | None) -> Record:
    return Record(offset, key, value, tuple(epoch.headers()))


@pytest.fixture
async def recovery() -> FencedRecovery:
    """Of a table of which two rows more are to be read: offsets 0 and 1."""
    app = App(Settings())
    table: Any = Table(app, name="camera_state", partitions=1, key_type=bytes, value_type=bytes)
    recovery = FencedRecovery(app, app.tables)
    recovery.add_active(table, STATE)
    recovery.active_offsets[STATE], recovery.active_highwaters[STATE] = -1, 1
    recovery._set_recovery_started()
    return recovery


def rows(recovery: FencedRecovery) -> dict[bytes, bytes]:
    return dict(cast(Any, recovery.tp_to_table[STATE]).data)


async def test_a_fetch_is_applied_at_once_and_the_last_row_ends_the_recovery(recovery: FencedRecovery):
    assert recovery.take(STATE, [written(Epoch(1, 1), 0, b"cam", b"1")])
    assert recovery.in_recovery

    assert recovery.take(STATE, [written(Epoch(1, 1), 1, b"cam", b"2")])

    assert rows(recovery) == {b"cam": b"2"}
    assert not recovery.in_recovery
    assert recovery.signal_recovery_end.is_set()


async def test_rows_that_were_read_before_and_those_of_a_former_owner_do_not_count(recovery: FencedRecovery):
    new, late = written(Epoch(2, 2), 0, b"cam", b"new"), written(Epoch(1, 1), 1, b"cam", b"late")
    recovery.take(STATE, [new])

    recovery.take(STATE, [written(Epoch(2, 2), 0, b"cam", b"again"), late])

    assert rows(recovery) == {b"cam": b"new"}


async def test_a_deleted_row_is_gone(recovery: FencedRecovery):
    recovery.take(STATE, [written(Epoch(1, 1), 0, b"cam", b"1"), written(Epoch(1, 1), 1, b"cam", None)])
    assert rows(recovery) == {}


async def test_nothing_is_taken_of_a_partition_that_is_not_being_recovered(recovery: FencedRecovery):
    assert not recovery.take(TP("in", 0), [Record(0, b"cam", b"1")])
    recovery._set_recovery_ended()
    assert not recovery.take(STATE, [Record(0, b"cam", b"1")])


async def test_the_end_is_still_said_to_who_asks_after_faust_has_cleared_it(recovery: FencedRecovery):
    recovery.take(STATE, [written(Epoch(1, 1), n, b"cam", b"1") for n in (0, 1)])
    recovery.signal_recovery_end.clear()  # as Faust's loop does on its next turn

    await asyncio.wait_for(recovery.signal_recovery_end.wait(), 1)

    recovery._set_recovery_started()
    assert not recovery.signal_recovery_end.is_set()
