"""The consumer, cured of what Faust 0.15.3 loses, hangs on or repeats around a rebalance.

1. A record that was fetched and not handed on is fetched again (``getmany``): aiokafka's position is past it already.
2. Committed is what the ledger says: all that is processed without a hole. A jump in the offsets is never an ack, nor
   is a message that a stream skipped (``ack``, ``force_commit``). What is done behind a hole is marked in the commit,
   and not done again (``marks``).
3. A planned rebalance lets the running work end, for a bounded time, and commits it; then the books are closed
   (``wait_empty``, ``on_partitions_revoked``).
4. An offset that was passed over, and is neither acked nor worked on, is read again, and said (``_heal``); so is a
   changelog's, for which a recovery would wait for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from vision_stream.delivery.consumer_thread import COMMIT_TIMEOUT_S, FETCH_WAIT_MS, ConsumerThread
from vision_stream.delivery.lag import Lag
from vision_stream.delivery.marks import Place
from vision_stream.delivery.ownership import FencedTables
from vision_stream.delivery.rereads import Rereads

if TYPE_CHECKING:
    from vision_stream.app import App

DRAIN_S = 4.0  # for running work at a revocation; the group waits. LLM calls that take longer are made again. At the
# worker's end it is ``kafka.shutdown_s``.
HEAL_EVERY_S = 1.0

# A fetch keeps to the partitions that were active when it began: with Faust's 1 s each of a recovery's two passes, and
# the input after it, would wait up to a second for one that nothing answers.
LOOK_S = FETCH_WAIT_MS / 1000


class Consumer(driver.Consumer):
    """Public hooks of Faust's consumer, overridden; ``self.app.ledger`` holds the books."""

    mundane_level = "debug"  # of "Starting..." and the like

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rereads = Rereads()
        self._lag = Lag()
        self._committed: dict[TP, Place] = {}
        self._drained = asyncio.Event()
        self.joined = False  # the group has given us what we have; not so while it rebalances

    @property
    def _app(self) -> App:
        return cast("App", self.app)

    @property
    def thread_loop(self) -> asyncio.AbstractEventLoop:
        """Where aiokafka's consumer lives."""
        return self._thread.thread_loop

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # 1. What was fetched and not handed on is fetched again.

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Fetch, and hand on in turns; what was not handed on is fetched again."""
        await self._read_missing_again()
        generation = self.app.consumer_generation_id
        records, active = await self._wait_next_records(min(timeout, LOOK_S))
        records = self._recover(records, active, generation)
        if not records:
            return
        handed = dict.fromkeys(records, 0)
        stopped: set[TP] = set()
        try:
            for tp, record in self.scheduler.iterate(cast(Any, records)):
                if self.should_stop or not self.flow_active or self.app.consumer_generation_id != generation:
                    break
                if tp in stopped or (active is not None and tp not in active and tp not in self._buffered_partitions):
                    stopped.add(tp)
                    continue
                self._prove(tp, generation, record.offset)
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                yield tp, self._to_message(tp, record)
                handed[tp] += 1
        finally:
            left = {tp: records[tp][n].offset for tp, n in handed.items() if n < len(records[tp])}
            if left and not self.should_stop:
                await self._thread.rewind(left)

    def _recover(self, records: Mapping[TP, Any] | None, active: set[TP] | None, generation: int) -> dict[TP, Any]:
        """What is left when tables that are being recovered have taken theirs."""
        if self.should_stop or not self.flow_active or self.app.consumer_generation_id != generation:
            return dict(records or {})
        recovery, left = cast(FencedTables, self.app.tables).recovery, {}
        for tp, batch in (records or {}).items():
            if (active is None or tp in active) and recovery.take(tp, batch):
                self._prove(tp, generation, batch[0].offset)
            else:
                left[tp] = batch
        return left

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.flow_active and not self.app.client_only and not self._get_active_partitions():
            await self.sleep(LOOK_S)  # 1 s in Faust
            return {}, None
        return await super()._wait_next_records(timeout)

    async def _read_missing_again(self) -> None:
        """Seek back to what is missing. Here, between two fetches, no record from before can follow."""
        places = self._rereads.due(self._app.ledger, time.monotonic())
        if not places:
            return
        starts = await self.earliest_offsets(*places)
        for tp, place in list(places.items()):
            ledger, start = self._app.ledger.get(tp), starts.get(tp) or 0
            if ledger and start > place:  # retention was faster than we
                self.log.error("expired before it was read: %s-%s %s..%s", tp.topic, tp.partition, place, start - 1)
                ledger.skip(place, start)
        await self._go_to(places)
        self.log.warning("read again: %s", ", ".join(f"{tp.topic}-{tp.partition}@{o}" for tp, o in places.items()))

    async def _go_to(self, places: Mapping[TP, int]) -> None:
        await self._thread.go_to(places)
        for tp in places:
            self._read_offset[tp] = None  # Faust drops what is below it

    def _prove(self, tp: TP, generation: int, offset: int) -> None:
        start, ledger = self._rereads.proved(tp, offset), self._app.ledger.ledger(tp, generation)
        if start is not None and ledger:
            self.log.warning("not in the log: %s-%s %s..%s", tp.topic, tp.partition, start, offset - 1)
            ledger.skip(start, offset)

    # 2. Committed is what is processed without a hole.

    async def perform_seek(self) -> None:
        """Open the books at the committed offsets and go there; at the log's start where nothing is committed, which
        Faust's own leaves wherever a dropped fetch has moved it."""
        generation = self.app.consumer_generation_id
        inputs = self.inputs()
        committed = await self._thread.committed(inputs)
        fresh = [tp for tp in inputs if tp not in committed]
        starts = await self.earliest_offsets(*fresh) if fresh else {}
        if self.app.consumer_generation_id != generation:
            return
        places = {tp: committed.get(tp) or Place(starts.get(tp) or 0) for tp in inputs}
        for tp, place in places.items():
            self._committed[tp], self._committed_offset[tp] = place, place.offset
            self._app.ledger.open(tp, generation, place.offset, place.done)
        await self._go_to({tp: place.offset for tp, place in places.items()})

    def _is_input(self, tp: Any) -> bool:
        return self.app.topics.acks_enabled_for(tp.topic) and not self._is_changelog_tp(tp)

    def ack(self, message: Any) -> bool:
        """Only bookkeeping of Faust's own: what may be committed is the ledger's to say."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A jump is never taken for an ack."""

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what the ledger allows. What could not be committed is tried again with the next commit."""
        state = self.app.sensors.on_commit_initiated(self)
        places = {tp: place for tp in self._app.ledger if (place := self._to_commit(tp)) is not None}
        done = bool(places) and await self._thread.commit_places(places)
        if done:
            self._committed.update(places)
            offsets = {tp: place.offset for tp, place in places.items()}
            self._committed_offset.update(offsets)  # Faust's own streams look there
            self.app.monitor.on_tp_commit(offsets)
        self.app.sensors.on_commit_completed(self, state)
        return done

    def _to_commit(self, tp: TP) -> Place | None:
        ledger = self._app.ledger[tp]
        place, committed = Place(ledger.committable, ledger.done), self._committed.get(tp)
        return None if place == committed or (committed and place.offset < committed.offset) else place

    def committed_at(self, tp: TP) -> int | None:
        """The offset that was last committed, or found so; None before it is known. Any thread may ask."""
        place = self._committed.get(tp)
        return None if place is None else place.offset

    def position_now(self, tp: TP) -> int | None:
        """The next offset to fetch; None where there is none. Any thread may ask."""
        return self._thread.position_now(tp)

    def inputs(self) -> list[TP]:
        """The partitions of agents' inputs that are assigned. Any thread may ask.

        Raises:
            ConsumerNotStarted: none can be yet.
        """
        return [tp for tp in self.assignment() if self._is_input(tp)]

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's own alarm counts from the worker's start, and cries about each partition that comes later; the
        lag tells it better."""

    # 3. A planned rebalance, and a planned end, commit the running work.

    async def wait_empty(self) -> None:
        """Let the running work end, for a bounded time, and commit it."""
        if self._drained.is_set():  # Faust asks twice at the end
            return
        ends = self._app.should_stop
        if ends:
            self._app.hand_back()
        await self._app.settle(self._app.shutdown_s if ends else DRAIN_S)
        await self.commit()
        if ends:
            self._drained.set()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit, then close the books. The group waits for a worker that ends: else its running calls would be made
        again."""
        self.joined = False
        try:
            if self._app.should_stop:
                await self._until_drained()
            else:
                await super().on_partitions_revoked(revoked)
        finally:
            self._app.ledger.close(revoked)
            self._app.forget()
            for tp in revoked:
                self._committed.pop(tp, None)
            self._rereads.forget(revoked)
            self._lag.forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await super().on_partitions_assigned(assigned, generation_id)
        self.joined = True

    async def _until_drained(self) -> None:
        try:
            await asyncio.wait_for(self._drained.wait(), self._app.shutdown_s + COMMIT_TIMEOUT_S)
        except TimeoutError:
            self.log.warning("the group waits no longer for what still runs")

    def leave_at_once(self, within_s: float) -> None:
        """Leave the group with what runs unfinished, as the process ends now. From any thread; waits ``within_s``."""
        self._thread.leave_at_once(within_s)

    def close(self) -> None:
        """Faust's closes aiokafka's client from another loop than its own; ``stop`` does it all in order."""

    # 4. What was passed over is read again.

    @Service.task
    async def _heal(self) -> None:
        async for _ in self.itertimer(HEAL_EVERY_S, name="heal"):
            if not self.flow_active:
                continue
            for tp in self.assignment():
                if self._is_changelog_tp(tp):
                    self._rereads.suspect(tp, self._lost_of_changelog(tp))
                elif not self.app.rebalancing:
                    self._rereads.suspect(tp, self._lost_of_input(tp))
            if not self.app.rebalancing:
                self._lag.report(self._app.ledger, self.highwater, time.time())

    def _lost_of_input(self, tp: TP) -> int | None:
        """The last messages before a pause may be lost with nothing behind them that shows the hole."""
        ledger, position = self._app.ledger.get(tp), self._thread.position_now(tp)
        if ledger is None or position is None or not self._app.idle(tp.topic):
            return None
        return ledger.newest + 1 if position > ledger.newest + 1 else None

    def _lost_of_changelog(self, tp: TP) -> int | None:
        tables, position = cast(TableManager, self._app.tables), self._thread.position_now(tp)
        applied = tables.recovery.active_offsets.get(tp)
        if applied is None or position is None or tables.changelog_queue.qsize():
            return None
        return applied + 1 if position > max(applied, -1) + 1 else None
