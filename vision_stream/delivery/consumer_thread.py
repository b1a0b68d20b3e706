"""What has to happen in the consumer's own thread, where aiokafka's consumer lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from vision_stream.delivery.marks import Place

COMMIT_TIMEOUT_S = 10.0  # aiokafka itself tries for ever while the broker is away
LAST_COMMIT_TIMEOUT_S = 3.0  # of a worker that ends: what is not committed comes again
LEAVE_TIMEOUT_S = 2.0  # for a goodbye to the group; without it the others wait for the session's end

# How long a broker may hold a fetch when there is nothing new. It answers the requests of a connection in turn: each
# request of a recovery (where the changelogs end, where a partition begins) waits behind such a fetch, 1.5 s in Faust.
# A partition that has just brought something is in the next fetch but one: what follows waits as long, and a second key
# that fails must be known to all workers within 100 ms. Shorter: idle workers and the broker do nothing but ask.
FETCH_WAIT_MS = 75


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Knows to where each fetch has moved aiokafka's positions, and can take that back."""

    mundane_level = "debug"  # of "Starting..." and the like

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fetched_to: dict[tuple[str, int], int | None] = {}

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer: Any = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # Faust fixes it in its code; read when the consumer starts
        return consumer

    async def _fetch_records(self, consumer: Any, active_partitions: Any, *args: Any, **kwargs: Any) -> Any:
        records = await super()._fetch_records(consumer, active_partitions, *args, **kwargs)
        self._fetched_to = {tp: self.position_now(tp) for tp in records}
        return records

    async def rewind(self, first: Mapping[TP, int]) -> None:
        """Go back to ``first`` of each partition of the last fetch, unless somebody has sought since."""
        await self.call_thread(self._rewind, first)

    async def _rewind(self, first: Mapping[TP, int]) -> None:
        fetcher: Any = self._ensure_consumer()._fetcher
        for tp, offset in first.items():
            position = self.position_now(tp)
            if position is not None and position == self._fetched_to.get(TopicPartition(*tp)):
                fetcher.seek_to(TopicPartition(*tp), offset)

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Place]:
        """What is committed, in one request; nothing for a partition of which nothing is."""
        return await self.call_thread(self._committed, partitions)

    async def _committed(self, partitions: Collection[TP]) -> dict[TP, Place]:
        coordinator: Any = self._ensure_consumer()._coordinator
        wanted = [TopicPartition(*tp) for tp in partitions]
        known = await coordinator.fetch_committed_offsets(wanted) if wanted else {}
        found = {tp: known[tp] for tp in partitions if tp in known}
        return {tp: Place.of(at.offset, at.metadata) for tp, at in found.items() if at.offset >= 0}

    async def go_to(self, places: Mapping[TP, int]) -> None:
        """Seek; a partition that is no longer ours is left alone."""
        await self.call_thread(self._go_to, places)

    async def _go_to(self, places: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in places.items():
            if consumer._subscription.is_assigned(TopicPartition(*tp)):
                consumer.seek(TopicPartition(*tp), offset)

    def position_now(self, tp: Any) -> int | None:
        """The next offset to fetch; None where the partition is not ours or has no position yet. Asks nobody."""
        state = self._state(tp)
        return None if state is None else state._position

    def highwater(self, tp: Any) -> Any:
        """The next offset that the partition will get; None where it is not ours, be it since a moment ago, or nothing
        of it was fetched yet. aiokafka's own raises, and what asks here runs in another thread than what revokes."""
        state = self._state(tp)
        return None if state is None else state.highwater

    def _state(self, tp: Any) -> Any:
        subscribed = self._ensure_consumer()._subscription.subscription
        assignment = subscribed.assignment if subscribed is not None else None  # one look: it is replaced, not changed
        tp = TopicPartition(*tp)
        return assignment.state_value(tp) if assignment is not None and tp in assignment.tps else None

    async def commit_places(self, places: Mapping[TP, Place]) -> bool:
        """Commit; False where that failed. Faust ends the worker for it; here the next commit tries again."""
        return await self.call_thread(self._commit_places, places)

    async def _commit_places(self, places: Mapping[TP, Place]) -> bool:
        consumer, assigned = self._ensure_consumer(), self.assignment()
        wanted = {
            TopicPartition(*tp): OffsetAndMetadata(at.offset, at.marks) for tp, at in places.items() if tp in assigned
        }
        coordinator: Any = consumer._coordinator
        if not wanted or coordinator.generation < 0:  # expelled, and an empty group takes offsets from anybody
            return False
        try:
            await asyncio.wait_for(
                consumer.commit(wanted), LAST_COMMIT_TIMEOUT_S if self.app.should_stop else COMMIT_TIMEOUT_S
            )
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            self.log.warning("offsets not committed yet: %r", error)
            return False
        return len(wanted) == len(places)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A worker that ends does not join the group again: what it would be given, it would take from the others."""
        await super().on_partitions_revoked(revoked)
        if self.app.should_stop:
            raise asyncio.CancelledError  # of aiokafka's coordination; its end leaves the group

    def leave_at_once(self, within_s: float) -> None:
        """From another thread; waits ``within_s``, and raises nothing, as nobody is left to hear it."""
        consumer: Any = self._consumer
        with contextlib.suppress(Exception):  # as where it has no coordinator yet, or its loop is closed
            leaving = consumer._coordinator._maybe_leave_group()
            asyncio.run_coroutine_threadsafe(leaving, self.thread_loop).result(within_s)

    async def on_thread_stop(self) -> None:
        """Leave the group. With the broker away, aiokafka takes long over it or is cancelled by itself; neither must
        keep the worker from its end."""
        goodbye = asyncio.ensure_future(super().on_thread_stop())
        await asyncio.wait((goodbye,), timeout=LEAVE_TIMEOUT_S)
        if not goodbye.done() or goodbye.cancelled() or goodbye.exception():
            goodbye.cancel()
            self.log.warning("left the group without a word")
