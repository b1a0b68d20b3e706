"""Tables whose changes are delivered before the message that made them is acked.

Faust puts a table's change into a buffer and forgets it; its commit handler flushes the producer now and then. Here a
handler's changes are collected, and the stage awaits their delivery before it acks. A change that could not be
delivered is sent again: it stands in the table already, so running the handler again would find nothing to do.

A change says who made it (``fencing``), so that one of a former owner is told, whenever it arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import faust
import structlog
from faust.tables.globaltable import GlobalTable as FaustGlobalTable
from faust.types import EventT
from faust.types.tuples import FutureMessage

from vision_stream.background import Background
from vision_stream.delivery.tenure import Tenure
from vision_stream.delivery.trouble import backoff, is_transient

_log = structlog.get_logger(__name__)


class Changes:
    """The changes that one handler made, until they are delivered."""

    def __init__(self) -> None:
        self._sent: list[tuple[FutureMessage, partial[FutureMessage]]] = []
        self._owned: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._sent)

    def add(self, sent: FutureMessage, again: partial[FutureMessage]) -> None:
        self._sent.append((sent, again))

    def follow(self, delivery: asyncio.Task[None]) -> None:
        """Others deliver these."""
        self._owned.append(delivery)

    async def delivered(self) -> None:
        """Return when all are.

        Raises:
            Exception: what is no passing trouble of the broker's, as a row that is too large.
        """
        waiting, self._sent = self._sent, []
        for sent, again in waiting:
            await _until_delivered(sent, again)
        owned, self._owned = self._owned, []
        for delivery in owned:
            await asyncio.shield(delivery)  # a cancelled handler leaves it to its owner


_changes: ContextVar[Changes | None] = ContextVar("changes", default=None)


@contextmanager
def collected() -> Iterator[Changes]:
    """Collect the changes that the block makes to tables."""
    changes = Changes()
    token = _changes.set(changes)
    try:
        yield changes
    finally:
        _changes.reset(token)


@contextmanager
def owned(background: Background, *, name: str) -> Iterator[None]:
    """The changes of the block are delivered by ``background``, also where the running handler is broken off.

    The handler waits for them as for its own.
    """
    with collected() as changes:
        yield
    if changes:
        delivery = background.spawn(changes.delivered(), name=name)
        handlers = _changes.get()
        if handlers is not None:
            handlers.follow(delivery)


async def _until_delivered(sent: FutureMessage, again: partial[FutureMessage]) -> None:
    for wait_s in backoff():
        try:
            await asyncio.shield(sent)  # a cancelled handler leaves the message to the producer
            return
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("changelog not delivered yet", error=repr(error), again_in_s=wait_s)
        await asyncio.sleep(wait_s)
        sent = again()


if TYPE_CHECKING:
    _Table = faust.Table
else:
    _Table = object


class _Delivered(_Table):
    mundane_level = "debug"

    def send_changelog(self, partition, key, value, key_serializer=None, value_serializer=None) -> FutureMessage:
        return collect(partial(super().send_changelog, partition, key, value, key_serializer, value_serializer))


def collect(send: partial[FutureMessage]) -> FutureMessage:
    """Send, as a change of the running handler's."""
    sent = send()
    changes = _changes.get()
    if changes is not None:
        changes.add(sent, send)
    return sent


class GlobalTable(_Delivered, FaustGlobalTable):
    """A Faust table that every worker has whole, and writes, with awaited changes."""

    def partition_for_key(self, key: Any) -> int | None:
        # Else the producer is asked, which knows the partitions of no topic that it has not sent to yet.
        return 0 if self.partitions == 1 else super().partition_for_key(key)


class Table(faust.Table):
    """The same for a table whose partitions have one owner each; late rows of former ones are left out."""

    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenure: Tenure[FutureMessage] = Tenure(lambda: cast(Any, self.data), self._post)

    def send_changelog(self, partition, key, value, key_serializer=None, value_serializer=None) -> FutureMessage:
        assert partition is not None  # only a table with ``use_partitioner`` leaves it to the producer
        return self.tenure.write(partition, key, value)

    def _post(
        self, partition: int, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None
    ) -> FutureMessage:
        return collect(
            partial(
                self.changelog_topic.send_soon,
                key=key,
                value=value,
                partition=partition,
                headers=headers,
                key_serializer="raw",
                value_serializer="raw",
                callback=self._on_changelog_sent,
                eager_partitioning=True,
            )
        )

    def apply_changelog_batch(self, batch: Iterable[EventT]) -> None:
        """Take the rows that count."""
        read = ((event, event.message) for event in batch)
        super().apply_changelog_batch(
            [e for e, m in read if self.tenure.takes(m.partition, cast(bytes, m.key), m.headers)]
        )
