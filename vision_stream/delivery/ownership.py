"""Taking a table's partition over: recover it, announce oneself in its changelog, and recover up to that.

What the former owner has written by then is read; what it writes after that counts for nobody (see ``fencing``). The
announcement itself must not come from a worker that is no longer the owner, or it would fence the real one: a number
is taken first, then the group's coordinator is asked whether this worker is still a member, and only then the number
is sent. Whoever is given the partition after that answer reads the same or more, so its number is the same or higher,
and its generation is higher.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import structlog
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from vision_stream.delivery.changelog import Table, collected
from vision_stream.delivery.consumer_thread import ConsumerThread
from vision_stream.delivery.tenure import Tenure
from vision_stream.heap import give_back

_log = structlog.get_logger(__name__)
ASK_AGAIN_S = 0.5  # whether this worker is a member: the coordinator is away, or a rebalance is about to tell

Place = tuple[Tenure[Any], int]  # a table's, and a partition


async def announce(places: Iterable[Place], generation: int, is_member: Callable[[int], Awaitable[bool]]) -> None:
    """Take the next number in each; returns when all of them can be read. Cancelled by the next rebalance."""
    taken = [(tenure, partition, tenure.fence(partition).owner.next(generation)) for tenure, partition in places]
    while not await is_member(generation):  # noqa: ASYNC110  # no event tells it
        await asyncio.sleep(ASK_AGAIN_S)
    with collected() as sent:
        for tenure, partition, epoch in taken:
            tenure.announce(partition, epoch)
        await sent.delivered()


async def mend(tenure: Tenure[Any], partition: int) -> int:
    """Write the right rows again behind those that do not count, or compaction would keep these alone; how many."""
    stale = tenure.fence(partition).stale
    if not stale:
        return 0
    with collected() as sent:
        for key in sorted(stale):
            tenure.write_again(partition, key)
        await sent.delivered()
    mended = len(stale)
    stale.clear()
    return mended


class FencedTables(TableManager):
    """Faust's tables, recovered with fences."""

    mundane_level = "debug"  # of "Starting..." and the like

    @property
    def recovery(self) -> FencedRecovery:
        if self._recovery is None:
            self._recovery = FencedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(FencedRecovery, self._recovery)


class Row(NamedTuple):
    """Of a changelog, with what Faust's tables look at in an event."""

    key: bytes
    value: bytes | None
    message: Any  # aiokafka's record


class _End(asyncio.Event):
    """Stays set until the next recovery begins. Faust clears it right after it has set it: a recovery that had not yet
    begun to wait for it would wait for ever."""

    def clear(self) -> None:
        pass

    def begin(self) -> None:
        super().clear()


class FencedRecovery(Recovery):
    """Ends only when all partitions of its tables are its own. Runs again after each announcement, to read up to it."""

    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_recovery_end = self._end = _End()

    def _set_recovery_started(self) -> None:
        self._end.begin()
        super()._set_recovery_started()

    def take(self, tp: TP, records: Sequence[Any]) -> bool:
        """Apply all that was fetched of a table's partition while it is recovered; False where it is not.

        Faust hands each row on by itself, through five tasks of asyncio. Ten minutes of 100 detections a second are
        60,000 rows: seconds of a core, in which the cameras wait.
        """
        table = self.tp_to_table.get(tp)
        if not (self.in_recovery and tp in self.active_tps and isinstance(table, Table)):
            return False
        self.flush_buffers()  # what came one by one is older
        seen = self.active_offsets[tp]
        fresh = [record for record in records if seen is None or record.offset > seen]
        if fresh:
            table.apply_changelog_batch(cast(Any, [Row(record.key, record.value, record) for record in fresh]))
            self.active_offsets[tp] = fresh[-1].offset
        self._active_events_received_at[tp] = self._last_flush_at = time.monotonic()
        if not self.need_recovery():
            self._set_recovery_ended()
            self._end.set()
        return True

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Go on where every partition is ours; else announce ourselves, and have the recovery run on."""
        others = [(table, tp) for table, tp in self._fenced() if not table.tenure.owned(tp.partition)]
        if others:
            lost = {tp for table, tp in others if table.tenure.lost(tp.partition)}
            for tp in lost:  # somebody had it meanwhile: what is remembered of it does not count
                self.active_offsets[tp] = cast(Any, None)
            await announce(
                [(t.tenure, tp.partition) for t, tp in others if tp not in lost], generation_id, self._is_member
            )
            self.signal_recovery_start.set()
            return
        for table, tp in self._fenced():
            if mended := await mend(table.tenure, tp.partition):
                _log.warning("rows of a former owner left out", table=table.name, partition=tp.partition, rows=mended)
        await super().on_recovery_completed(generation_id)
        await asyncio.to_thread(give_back)

    def _fenced(self) -> Iterator[tuple[Table, TP]]:
        for table, tps in list(self.actives_for_table.items()):
            if isinstance(table, Table):
                yield from ((table, tp) for tp in sorted(tps))

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active":
            for table, tp in self._fenced():
                if destination.get(tp) is None:  # it is read from the start
                    table.tenure.forget(tp.partition)
        await super()._build_offsets(consumer, tps, destination, title)

    async def _is_member(self, generation: int) -> bool:
        thread: ConsumerThread = cast(Any, self.app.consumer)._thread
        return await thread.call_thread(_still_member, thread, generation)


async def _still_member(thread: ConsumerThread, generation: int) -> bool:
    """Does the group's coordinator count this worker in, in this generation? Runs in the consumer's thread."""
    coordinator: Any = thread._ensure_consumer()._coordinator
    try:
        # Yes also while a rebalance begins: nobody is given our partitions before we have heard of it.
        heard = coordinator.generation == generation and await coordinator._do_heartbeat()
    except KafkaError as error:
        _log.warning("not known whether this worker is still in its group", error=repr(error))
        return False
    return heard and coordinator.generation == generation
