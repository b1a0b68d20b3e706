"""What has to happen in the consumer's own thread, where aiokafka's consumer lives."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

COMMIT_TIMEOUT_S = 10.0  # aiokafka itself tries for ever while the broker is away


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Knows to where each fetch has moved aiokafka's positions, and can take that back."""

    mundane_level = "debug"  # of "Starting..." and the like

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fetched_to: dict[tuple[str, int], int | None] = {}

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

    async def committed(self, partitions: Collection[TP]) -> dict[TP, int | None]:
        """The committed offsets, in one request; None where nothing is committed."""
        return await self.call_thread(self._committed, partitions)

    async def _committed(self, partitions: Collection[TP]) -> dict[TP, int | None]:
        coordinator: Any = self._ensure_consumer()._coordinator
        wanted = [TopicPartition(*tp) for tp in partitions]
        known = await coordinator.fetch_committed_offsets(wanted) if wanted else {}
        return {tp: known[tp].offset if tp in known and known[tp].offset >= 0 else None for tp in partitions}

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
        subscription = self._ensure_consumer()._subscription
        tp = TopicPartition(*tp)
        if not subscription.is_assigned(tp):
            return None
        return subscription.subscription.assignment.state_value(tp)._position

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; False where that failed. Faust ends the worker for it; here the next commit tries again."""
        consumer, assigned = self._ensure_consumer(), self.assignment()
        wanted = {TopicPartition(*tp): OffsetAndMetadata(o, "") for tp, o in offsets.items() if tp in assigned}
        if not wanted:
            return False
        try:
            await asyncio.wait_for(consumer.commit(wanted), COMMIT_TIMEOUT_S)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            self.log.warning("offsets not committed yet: %r", error)
            return False
        return len(wanted) == len(offsets)
