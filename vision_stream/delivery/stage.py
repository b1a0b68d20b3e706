"""``in_order``: handlers run side by side, one a key at a time; acks come strictly in offset order.

The simple sound order "send, await delivery, then write the table" costs a handler a round trip or two to the broker.
It is pipelined here across cameras: up to ``in_flight`` handlers wait at once, while each camera's messages are
handled one after the other, in the order of their offsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import structlog
from faust.types import EventT, StreamT

from vision_stream import metrics, tracing
from vision_stream.background import Background
from vision_stream.delivery import changelog
from vision_stream.delivery.bury import bury
from vision_stream.delivery.keylocks import KeyLocks
from vision_stream.delivery.record import Record, handled
from vision_stream.delivery.trouble import backoff, is_transient
from vision_stream.errors import MessageError

if TYPE_CHECKING:
    from vision_stream.app import App

_log = structlog.get_logger(__name__)
SPAN = 4  # x handlers in flight, from the oldest unacked to the newest taken message. Larger: more duplicates after a
# kill. Smaller: one slow handler stalls the others sooner.
TRIES = 8  # of a handler while the broker is in trouble, over about 20 s

Handler = Callable[[Record], Awaitable[None]]


async def in_order(
    stream: StreamT[bytes],
    handler: Handler,
    *,
    in_flight: int,
    span: int | None = None,
    one_a_key: KeyLocks | None = None,
    may_take_s: float = 0.0,
) -> None:
    """Handle a stream's messages: an agent's whole body. Ends only when it is cancelled, and never raises.

    Args:
        handler: gets a record. A ``MessageError`` sends it to the dead letters; trouble of the broker's is tried
            again, then buried as any other error is; a cancelled one stays unacked and comes again.
        in_flight: handlers that run at once, at least 1.
        span: messages taken and not yet acked, at least ``in_flight``; None: ``SPAN`` times that.
        one_a_key: where given, handlers of one key run one after the other, in offset order. Agents that share it
            take turns.
        may_take_s: what one message may take by itself, as while it waits for somebody; longer, and the watchdog takes
            it for stuck.
    """
    app = cast("App", stream.app)
    stage = app.stage(handler.__name__, in_flight=in_flight, span=span or SPAN * in_flight)
    stage.may_take_s = may_take_s
    await stage.run(stream, handler, one_a_key)


class Stage:
    """An agent's work in this process: it outlives the agent's actor, which Faust restarts as it likes."""

    def __init__(self, app: App, name: str, in_flight: int, span: int, *, group: str = "") -> None:
        """``group``: the consumer group, for traces."""
        self.name = name
        self._group = group
        self.waiting = False  # for a message: nothing taken waits for room
        self.handled = 0  # messages so far
        self.may_take_s = 0.0
        self.closed = False  # nothing more is taken: the worker ends
        self.topics: frozenset[str] = frozenset()
        self._app = app
        self._slots = asyncio.Semaphore(in_flight)
        self._span = span
        self._unacked: dict[tuple[Any, int, int], tuple[StreamT, EventT]] = {}
        self._room = asyncio.Event()
        self._work = Background()
        self._done = metrics.events_done.labels(agent=name)

    def __len__(self) -> int:
        """Messages taken and not yet acked."""
        return len(self._unacked)

    @property
    def running(self) -> int:
        return len(self._work)

    async def run(self, stream: StreamT, handler: Handler, one_a_key: KeyLocks | None) -> None:
        manual = _acked_by_hand(stream)
        self.topics = frozenset(cast(Any, stream.channel).topics)
        self.waiting = True
        async for event in _events(manual):
            self.waiting = False
            await self._until_room()
            self._take(manual, event, handler, one_a_key)
            self.waiting = True

    async def settle(self, within_s: float) -> None:
        """Let what runs end, at most ``within_s`` seconds; break off the rest, which then comes again."""
        left = await self._work.settle(within_s=within_s)
        if left:
            _log.info("work broken off; it comes again", stage=self.name, messages=left)
        await self._work.close()

    def forget(self) -> None:
        """The partitions are revoked: what is not acked belongs to their next owner."""
        self._unacked.clear()
        self._changed()

    def _take(self, stream: StreamT, event: EventT, handler: Handler, one_a_key: KeyLocks | None) -> None:
        record = Record.of(event)
        if self.closed or not self._app.ledger.take(record.tp, record.generation, record.offset, record.timestamp):
            return
        self._unacked[record.tp, record.generation, record.offset] = stream, event  # keeps the event alive, see below
        self._changed()
        # The task copies this context, in which Faust's current event is this one: tables look there for a partition.
        self._work.spawn(self._handle(record, handler, one_a_key), name=f"{self.name} {record.place}")

    async def _handle(self, record: Record, handler: Handler, one_a_key: KeyLocks | None) -> None:
        done = False
        turn: AbstractAsyncContextManager[None] = nullcontext() if one_a_key is None else one_a_key.hold(record.key)
        try:
            async with turn, self._slots:
                handled.set(record)
                with tracing.processing(record.topic, record.partition, record.offset, record.headers, self._group):
                    await self._until_done(record, handler)
            done = True
        finally:
            await self._ended(record, done)

    async def _until_done(self, record: Record, handler: Handler) -> None:
        for wait_s in (*backoff(TRIES - 1), None):
            try:
                return await _handled(record, handler)
            except MessageError as error:
                tracing.failed(error)
                return await bury(self._app.dead_letters, record, error)
            except Exception as error:
                if wait_s is None or not is_transient(error):
                    _log.error("handler failed", stage=self.name, record=record.place, exc_info=error)
                    tracing.failed(error)
                    return await bury(self._app.dead_letters, record, error)
                metrics.retries.labels(agent=self.name).inc()
                _log.warning("handler runs again", stage=self.name, error=repr(error), in_s=wait_s)
                await asyncio.sleep(wait_s)

    async def _ended(self, record: Record, done: bool) -> None:
        if not done:
            self._app.ledger.give_back(record.tp, record.generation, record.offset)
            self._unacked.pop((record.tp, record.generation, record.offset), None)
        else:
            for offset in self._app.ledger.finish(record.tp, record.generation, record.offset):
                acked = self._unacked.pop((record.tp, record.generation, offset), None)
                if acked:
                    await acked[0].ack(acked[1])
            self._done.inc()
            self.handled += 1
        self._changed()

    async def _until_room(self) -> None:
        while len(self._unacked) >= self._span:
            self._room.clear()
            await self._room.wait()

    def _changed(self) -> None:
        metrics.in_flight.labels(agent=self.name).set(len(self._unacked))
        if len(self._unacked) < self._span:
            self._room.set()


async def _handled(record: Record, handler: Handler) -> None:
    """Run the handler; return when what it changed in tables is delivered too, also where it failed after that."""
    with changelog.collected() as changes:
        try:
            await handler(record)
        except Exception:
            await changes.delivered()
            raise
        await changes.delivered()


def _acked_by_hand(stream: StreamT) -> StreamT:
    return cast(Any, stream).noack()  # Faust's StreamT does not declare it


def _events(stream: StreamT) -> AsyncIterable[EventT]:
    return cast(Any, stream.events())  # declared as a coroutine
