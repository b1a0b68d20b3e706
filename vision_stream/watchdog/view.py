"""What the worker knows of itself at one moment, seen from its own event loop, beside what the brokers say."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from faust.exceptions import ConsumerNotStarted
from faust.tables.manager import TableManager
from faust.types import TP

if TYPE_CHECKING:
    from vision_stream.app import App
    from vision_stream.delivery.consumer import Consumer


class Partition(NamedTuple):
    """One of an agent's input that this worker owns."""

    topic: str
    number: int
    committed: int | None  # None: the books are not open
    committable: int | None
    position: int | None  # of the next record to fetch; None: it has none
    running: bool  # a handler works on the message at ``committable``
    end: int | None = None  # the brokers' next offset; None: not told

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.number}"


class StageView(NamedTuple):
    """What handles a topic's messages."""

    handled: int  # messages so far
    idle: bool  # it waits for a message
    may_take_s: float  # what one message may lawfully take


class View(NamedTuple):
    beat: int  # how often the event loop has looked
    joined: bool = True  # the group has given this worker its partitions, be it none
    rebalances: int = 0
    recovery: Hashable = None  # another value after each step of a recovery; None: there is none
    partitions: tuple[Partition, ...] = ()
    stages: Mapping[str, StageView] = {}  # by topic
    away: str | None = None  # why the brokers are no witness; None: they answer

    def answered(self, ends: Mapping[TP, int], away: str | None) -> View:
        """With the brokers' side."""
        partitions = tuple(p._replace(end=ends.get(TP(p.topic, p.number))) for p in self.partitions)
        return self._replace(partitions=partitions, away=away)


def view_of(app: App, beat: int) -> View:
    """The worker's side; in its event loop: what Faust makes on first use belongs to whoever asks first."""
    consumer = cast("Consumer", app.consumer)
    try:
        partitions = tuple(_partition(app, consumer, tp) for tp in sorted(consumer.inputs()))
    except ConsumerNotStarted:
        partitions = ()
    stages = {
        topic: StageView(stage.handled, stage.waiting, stage.may_take_s)
        for stage in app.stages.values()
        for topic in stage.topics
    }
    return View(beat, consumer.joined, app.rebalancing_count, _recovery(app), partitions, stages)


def _partition(app: App, consumer: Consumer, tp: TP) -> Partition:
    books = app.ledger.get(tp)
    return Partition(
        tp.topic,
        tp.partition,
        committed=consumer.committed_at(tp) if books else None,
        committable=books.committable if books else None,
        position=consumer.position_now(tp),
        running=bool(books and books.oldest() is not None),
    )


def _recovery(app: App) -> Hashable:
    if not app.rebalancing and app.tables.actives_ready:
        return None
    applied = cast(TableManager, app.tables).recovery.active_offsets
    return app.rebalancing_count, tuple(sorted((tp, offset) for tp, offset in applied.items() if offset))
