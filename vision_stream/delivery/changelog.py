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

from vision_stream.delivery.trouble import backoff, is_transient
from vision_stream.fencing import MARKER, MARKER_VALUE, Epoch, Fence

_log = structlog.get_logger(__name__)


class Changes:
    """The changes that one handler made, until they are delivered."""

    def __init__(self) -> None:
        self._sent: list[tuple[FutureMessage, partial[FutureMessage]]] = []

    def add(self, sent: FutureMessage, again: partial[FutureMessage]) -> None:
        self._sent.append((sent, again))

    async def delivered(self) -> None:
        """Return when all are.

        Raises:
            Exception: what is no passing trouble of the broker's, as a row that is too large.
        """
        waiting, self._sent = self._sent, []
        for sent, again in waiting:
            await _until_delivered(sent, again)


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
        return _collect(partial(super().send_changelog, partition, key, value, key_serializer, value_serializer))


def _collect(send: partial[FutureMessage]) -> FutureMessage:
    sent = send()
    changes = _changes.get()
    if changes is not None:
        changes.add(sent, send)
    return sent


class GlobalTable(_Delivered, FaustGlobalTable):
    """A Faust table that every worker has whole, and writes, with awaited changes."""


class Table(faust.Table):
    """The same for a table whose partitions have one owner each; rows of former ones are left out."""

    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._epochs: dict[int, Epoch] = {}  # as which this worker writes, by partition
        self._fences: dict[int, Fence] = {}
        self._partitions: dict[bytes, int] = {}  # of all rows

    # Rows in and out

    def send_changelog(self, partition, key, value, key_serializer=None, value_serializer=None) -> FutureMessage:
        """Send a row, stamped now: sent again after the partition was lost and won, it still counts as of before."""
        assert partition is not None  # only a table with ``use_partitioner`` leaves it to the producer
        self._partitions[key] = partition
        return self._send(partition, key, value)

    def _send(self, partition: int, key: bytes, value: bytes | None) -> FutureMessage:
        epoch = self._epochs.get(partition)
        return _collect(
            partial(
                self.changelog_topic.send_soon,
                key=key,
                value=value,
                partition=partition,
                headers=epoch.headers() if epoch else None,
                key_serializer="raw",
                value_serializer="raw",
                callback=self._on_changelog_sent,
                eager_partitioning=True,
            )
        )

    def apply_changelog_batch(self, batch: Iterable[EventT]) -> None:
        """Take the rows that count."""
        super().apply_changelog_batch([event for event in batch if self._counts(event)])

    def _counts(self, event: EventT) -> bool:
        message = event.message
        key, partition = cast(bytes, message.key), message.partition
        if not self.fence(partition).admits(key, message.headers) or key == MARKER:
            return False
        self._partitions[key] = partition
        return True

    # Ownership; see ``ownership``

    def fence(self, partition: int) -> Fence:
        return self._fences.setdefault(partition, Fence())

    def owned(self, partition: int) -> bool:
        """Is our announcement the last that was read?"""
        return self._epochs.get(partition) == self.fence(partition).owner

    def lost(self, partition: int) -> bool:
        """Has another announced itself after us?"""
        return partition in self._epochs and not self.owned(partition)

    def announce(self, partition: int, epoch: Epoch) -> FutureMessage:
        """Begin to write the partition as ``epoch``."""
        self._epochs[partition] = epoch
        return self._send(partition, MARKER, MARKER_VALUE)

    def write_again(self, partition: int, key: bytes) -> FutureMessage:
        """Send the row of ``key`` as it is; a tombstone where there is none."""
        return self._send(partition, key, MARKER_VALUE if key == MARKER else self.data.get(key))

    def forget(self, partition: int) -> None:
        """All of it is read anew."""
        self._epochs.pop(partition, None)
        self._fences.pop(partition, None)
        for key in [key for key, its in self._partitions.items() if its == partition]:
            self.data.pop(key, None)
            del self._partitions[key]
