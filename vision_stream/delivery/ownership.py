"""Taking a table's partition over: recover it, announce oneself in its changelog, and recover up to that.

What the former owner has written by then is read; what it writes after that counts for nobody (see ``fencing``). The
announcement itself must not come from a worker that is no longer the owner, or it would fence the real one: a number
is taken first, then the group's coordinator is asked whether this worker is still a member, and only then the number
is sent. Whoever is given the partition after that answer reads the same or more, so its number is the same or higher,
and its generation is higher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import structlog
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from vision_stream.delivery import changelog
from vision_stream.delivery.changelog import Table
from vision_stream.delivery.consumer_thread import ConsumerThread

_log = structlog.get_logger(__name__)
ASK_AGAIN_S = 0.5  # whether this worker is a member: the coordinator is away, or a rebalance is about to tell


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
        """Go on where every partition is ours; else announce, and have the recovery run on."""
        others = [(table, tp) for table, tp in self._fenced() if not table.owned(tp.partition)]
        if others:
            for table, tp in others:
                if table.lost(tp.partition):  # somebody had it meanwhile: nothing that is remembered of it counts
                    self.active_offsets[tp] = cast(Any, None)
            await self._announce([(t, tp) for t, tp in others if not t.lost(tp.partition)], generation_id)
            self.signal_recovery_start.set()
            return
        for table, tp in self._fenced():
            await self._mend(table, tp.partition)
        await super().on_recovery_completed(generation_id)

    def _fenced(self) -> Iterator[tuple[Table, TP]]:
        for table, tps in list(self.actives_for_table.items()):
            if isinstance(table, Table):
                yield from ((table, tp) for tp in sorted(tps))

    async def _announce(self, places: list[tuple[Table, TP]], generation: int) -> None:
        taken = [(table, tp.partition, table.fence(tp.partition).owner.next(generation)) for table, tp in places]
        thread: ConsumerThread = cast(Any, self.app.consumer)._thread
        while not await thread.call_thread(_is_member, thread, generation):  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(ASK_AGAIN_S)  # ended by the rebalance
        with changelog.collected() as sent:
            for table, partition, epoch in taken:
                table.announce(partition, epoch)
            await sent.delivered()

    async def _mend(self, table: Table, partition: int) -> None:
        """Write the right rows again behind those that do not count, or compaction would keep these alone."""
        stale = table.fence(partition).stale
        if stale:
            _log.warning("rows of a former owner left out", table=table.name, partition=partition, rows=len(stale))
            with changelog.collected() as sent:
                for key in stale:
                    table.write_again(partition, key)
                await sent.delivered()
            stale.clear()

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active":
            for table, tp in self._fenced():
                if destination.get(tp) is None:  # read from the start
                    table.forget(tp.partition)
        await super()._build_offsets(consumer, tps, destination, title)


async def _is_member(thread: ConsumerThread, generation: int) -> bool:
    """Does the group's coordinator count this worker in, in this generation? Runs in the consumer's thread."""
    coordinator: Any = thread._ensure_consumer()._coordinator
    try:
        # Yes also while a rebalance begins: nobody is given our partitions before we have heard of it.
        heard = coordinator.generation == generation and await coordinator._do_heartbeat()
    except KafkaError as error:
        _log.warning("not known whether this worker is still in its group", error=repr(error))
        return False
    return heard and coordinator.generation == generation
