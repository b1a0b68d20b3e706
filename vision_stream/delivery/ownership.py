"""Taking a table's partition over: recover it, announce oneself in its changelog, and recover up to that.

What the former owner has written by then is read; what it writes after that counts for nobody (see ``fencing``). The
announcement itself must not come from a worker that is no longer the owner, or it would fence the real one: a number
is taken first, then the group's coordinator is asked whether this worker is still a member, and only then the number
is sent. Whoever is given the partition after that answer reads the same or more, so its number is the same or higher,
and its generation is higher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, cast

import structlog
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from vision_stream.delivery.changelog import Table, collected
from vision_stream.delivery.consumer_thread import ConsumerThread
from vision_stream.delivery.tenure import Tenure

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
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = FencedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class FencedRecovery(Recovery):
    """Ends only when all partitions of its tables are its own. Runs again after each announcement, to read up to it."""

    mundane_level = "debug"

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
