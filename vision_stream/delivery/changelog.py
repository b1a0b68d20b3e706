"""Tables whose changes are delivered before the message that made them is acked.

Faust puts a table's change into a buffer and forgets it; its commit handler flushes the producer now and then. Here a
handler's changes are collected, and the stage awaits their delivery before it acks. A change that could not be
delivered is sent again: it stands in the table already, so running the handler again would find nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

import faust
import structlog
from faust.tables.globaltable import GlobalTable as FaustGlobalTable
from faust.types.tuples import FutureMessage

from vision_stream.delivery.trouble import backoff, is_transient

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
        send = partial(super().send_changelog, partition, key, value, key_serializer, value_serializer)
        sent = send()
        changes = _changes.get()
        if changes is not None:
            changes.add(sent, send)
        return sent


class Table(_Delivered, faust.Table):
    """A Faust table with awaited changes."""


class GlobalTable(_Delivered, FaustGlobalTable):
    """The same for a table that every worker has whole."""
