"""The cured consumer and flow: each test fails with what Faust 0.15.3 has in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.types.tuples import TP, ConsumerMessage
from mode.utils.queues import FlowControlEvent, FlowControlQueue

from vision_stream.app import App
from vision_stream.delivery.consumer import Consumer
from vision_stream.delivery.consumer_thread import ConsumerThread
from vision_stream.delivery.flow import Flow
from vision_stream.delivery.marks import Place
from vision_stream.delivery.offsets import OffsetLedger
from vision_stream.delivery.rereads import Rereads
from vision_stream.settings import Settings

ONE, TWO = TP("in", 0), TP("in", 1)


class Thread:
    """What the consumer asks of its thread; remembers where it was sent."""

    def __init__(self) -> None:
        self.rewound: dict[TP, int] = {}
        self.sought: dict[TP, int] = {}
        self.commits: list[dict[TP, Place]] = []
        self.offsets: dict[TP, Place] = {}
        self.starts: dict[TP, int] = {}
        self.commit_works = True

    async def rewind(self, first: Mapping[TP, int]) -> None:
        self.rewound.update(first)

    async def go_to(self, places: Mapping[TP, int]) -> None:
        self.sought.update(places)

    async def commit_places(self, places: Mapping[TP, Place]) -> bool:
        self.commits.append(dict(places))
        return self.commit_works

    async def committed(self, partitions: list[TP]) -> Mapping[TP, Place]:
        return self.offsets

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return {tp: self.starts.get(tp, 0) for tp in partitions}

    def highwater(self, tp: TP) -> int:
        return 100

    def assignment(self) -> set[TP]:
        return {ONE, TWO}


@pytest.fixture
async def app() -> App:
    made = App(Settings())
    made.consumer_generation_id = 1
    made.topics._acking_topics.add("in")  # pyright: ignore[reportAttributeAccessIssue]
    return made


@pytest.fixture
async def consumer(app: App) -> Any:
    async def nothing(*_: Any) -> None: ...

    made: Any = Consumer(app.transport, nothing, nothing, nothing)
    made._thread.thread_loop.close()
    made._thread = Thread()
    app._consumer = made
    return made


def fetched(consumer: Any, offsets: Mapping[TP, list[int]], active: set[TP] | None = None) -> None:
    """The next fetch brings these; ``active``: the partitions that are not paused, as it stands while handing on."""
    records = {tp: [SimpleNamespace(offset=n) for n in numbers] for tp, numbers in offsets.items()}

    async def next_records(timeout: float) -> Any:
        return records, {ONE, TWO} if active is None else active

    consumer._wait_next_records = next_records
    consumer._to_message = lambda tp, record: record.offset


async def test_a_partition_that_was_just_revoked_has_no_end_and_no_position(app: App):
    thread: Any = ConsumerThread.__new__(ConsumerThread)
    subscription: Any = SubscriptionState(loop=asyncio.get_running_loop())
    thread._ensure_consumer = lambda: SimpleNamespace(_subscription=subscription)
    assert (thread.highwater(ONE), thread.position_now(ONE)) == (None, None)  # before it has subscribed

    subscription.subscribe({"in"})
    subscription.assign_from_subscribed({TopicPartition("in", 0)})
    subscription.subscription.assignment.state_value(TopicPartition("in", 0)).highwater = 7

    assert (thread.highwater(ONE), thread.position_now(ONE)) == (7, None)
    assert (thread.highwater(TWO), thread.position_now(TWO)) == (None, None)


# (i) the flow


async def test_resuming_a_flow_that_runs_keeps_what_is_queued():
    flow = Flow()
    flow.resume()
    queue = FlowControlQueue(maxsize=10, flow_control=flow, clear_on_resume=True)
    await queue.put("message")
    flow.resume()
    assert queue.qsize() == 1


async def test_faust_empties_the_queue_in_the_same_place():
    flow = FlowControlEvent()  # says when the cure is no longer needed
    flow.resume()
    queue = FlowControlQueue(maxsize=10, flow_control=flow, clear_on_resume=True)
    await queue.put("message")
    flow.resume()
    assert queue.qsize() == 0


async def test_resuming_a_flow_that_stands_still_empties_the_queue():
    flow = Flow()
    flow.resume()
    queue = FlowControlQueue(maxsize=10, flow_control=flow, clear_on_resume=True)
    await queue.put("of the generation before")
    flow.suspend()
    flow.resume()
    assert queue.qsize() == 0


# (ii) what was fetched and not handed on


async def handed_on(consumer: Any, stop_after: int | None = None) -> list[tuple[TP, int]]:
    handed: list[tuple[TP, int]] = []
    async for tp, offset in consumer.getmany(timeout=1.0):
        handed.append((tp, offset))
        if len(handed) == stop_after:
            consumer.stop_flow()
    return handed


async def test_what_a_stopped_flow_leaves_is_fetched_again(consumer: Any):
    fetched(consumer, {ONE: [5, 6, 7], TWO: [3]})
    handed = await handed_on(consumer, stop_after=2)
    left = {tp: first for tp, first in {ONE: 5, TWO: 3}.items() if (tp, first) not in handed}
    for tp, offset in handed:
        left[tp] = max(left.get(tp, 0), offset + 1)
    left = {tp: o for tp, o in left.items() if o <= {ONE: 7, TWO: 3}[tp]}
    assert consumer._thread.rewound == left


async def test_what_a_change_of_generation_leaves_is_fetched_again(consumer: Any, app: App):
    fetched(consumer, {ONE: [5, 6, 7]})
    async for _, offset in consumer.getmany(timeout=1.0):
        if offset == 5:
            app.consumer_generation_id = 2
    assert consumer._thread.rewound == {ONE: 6}


async def test_what_a_paused_partition_brings_is_fetched_again(consumer: Any):
    fetched(consumer, {ONE: [5, 6], TWO: [3]}, active={ONE})
    assert await handed_on(consumer) == [(ONE, 5), (ONE, 6)]
    assert consumer._thread.rewound == {TWO: 3}


async def test_a_partition_that_is_resumed_meanwhile_is_fetched_again_from_its_first_dropped_record(consumer: Any):
    active = {TWO}
    fetched(consumer, {ONE: [5, 6], TWO: [3]}, active=active)
    handed = []
    async for tp, offset in consumer.getmany(timeout=1.0):
        handed.append((tp, offset))
        active.add(ONE)
    assert (ONE, 6) not in handed or (ONE, 5) in handed
    if (ONE, 5) not in handed:
        assert consumer._thread.rewound == {ONE: 5}


async def test_a_fetch_that_is_handed_on_whole_stays_where_it_is(consumer: Any):
    fetched(consumer, {ONE: [5, 6]})
    await handed_on(consumer)
    assert consumer._thread.rewound == {}


# (iii) what is committed


async def test_a_jump_in_the_offsets_is_never_committed(consumer: Any, app: App):
    app.ledger.open(ONE, 1, 5)
    await consumer._add_gap(ONE, 5, 7)
    assert not app.ledger.take(ONE, 1, 8)
    await consumer.commit()
    assert consumer._thread.commits == [{ONE: Place(5)}]


async def test_a_message_that_a_stream_skips_is_never_committed(consumer: Any, app: App):
    app.ledger.open(ONE, 1, 5)
    message = ConsumerMessage("in", 0, 5, 1.0, 0, [], b"k", b"v", None, tp=ONE, generation_id=1)
    message.incref()
    message.ack(consumer)  # as Faust does with a message of an old generation
    await consumer.commit()
    assert consumer._thread.commits == [{ONE: Place(5)}]


async def test_a_commit_that_failed_is_made_again(consumer: Any, app: App):
    app.ledger.open(ONE, 1, 5)
    app.ledger.take(ONE, 1, 5)
    app.ledger.finish(ONE, 1, 5)
    consumer._thread.commit_works = False
    await consumer.commit()
    consumer._thread.commit_works = True
    await consumer.commit()
    await consumer.commit()
    assert consumer._thread.commits == [{ONE: Place(6)}, {ONE: Place(6)}]


async def test_what_is_done_behind_a_hole_is_committed_with_it_and_not_taken_again(consumer: Any, app: App):
    app.ledger.open(ONE, 1, 5)
    for offset in (5, 6, 7):
        app.ledger.take(ONE, 1, offset)
    app.ledger.finish(ONE, 1, 7)
    await consumer.commit()
    assert consumer._thread.commits == [{ONE: Place(5, frozenset({7}))}]

    app.ledger.close([ONE])
    consumer._thread.offsets = consumer._thread.commits[0]
    await consumer.perform_seek()

    assert [app.ledger.take(ONE, 1, offset) for offset in (5, 6, 7, 8)] == [True, True, False, True]


async def test_the_books_begin_at_the_committed_offset_or_at_the_logs_start(consumer: Any, app: App):
    consumer._thread.offsets = {ONE: Place(7)}
    consumer._thread.starts = {TWO: 2}
    await consumer.perform_seek()
    assert app.ledger[ONE].committable == 7
    assert app.ledger[TWO].committable == 2
    assert consumer._thread.sought == {ONE: 7, TWO: 2}  # Faust leaves it wherever a dropped fetch has moved it


# (iv) a revocation


async def test_a_revocation_while_the_worker_ends_waits_for_what_runs(consumer: Any, app: App):
    app._stopped.set()
    revocation = asyncio.ensure_future(consumer.on_partitions_revoked({ONE}))
    app.ledger.open(ONE, 1, 5)
    app.ledger.take(ONE, 1, 5)
    await asyncio.sleep(0)
    app.ledger.finish(ONE, 1, 5)
    assert ONE in app.ledger

    await consumer.wait_empty()
    await revocation

    assert consumer._thread.commits == [{ONE: Place(6)}]
    assert ONE not in app.ledger


async def test_a_revocation_commits_the_work_that_ends_during_it(consumer: Any, app: App):
    app.ledger.open(ONE, 1, 5)
    app.ledger.take(ONE, 1, 5)

    async def faust_waits_for_the_streams(revoked: set[TP]) -> None:
        app.ledger.finish(ONE, 1, 5)
        await consumer.wait_empty()

    consumer._on_partitions_revoked = faust_waits_for_the_streams
    await consumer.on_partitions_revoked({ONE})
    assert consumer._thread.commits == [{ONE: Place(6)}]
    assert ONE not in app.ledger


async def test_a_revocation_waits_only_so_long_for_a_handler(consumer: Any, app: App, monkeypatch):
    monkeypatch.setattr("vision_stream.delivery.consumer.DRAIN_S", 0.05)
    stage = app.stage("slow", in_flight=1, span=1)
    stage._work.spawn(asyncio.sleep(60), name="slow")
    async with asyncio.timeout(5):
        await consumer.wait_empty()
    assert stage.running == 0


# (v) what was passed over


async def test_what_was_passed_over_is_read_again_and_said(consumer: Any, app: App, caplog):
    app.ledger.open(ONE, 1, 5)
    assert not app.ledger.take(ONE, 1, 7)
    fetched(consumer, {})
    await handed_on(consumer)
    assert consumer._thread.sought == {ONE: 5}
    assert "read again: in-0@5" in caplog.text


async def test_what_the_log_does_not_have_is_passed_over_once_reading_again_has_shown_it(consumer: Any, app: App):
    app.ledger.open(ONE, 1, 5)
    app.ledger.take(ONE, 1, 7)
    fetched(consumer, {ONE: [7]})
    assert await handed_on(consumer) == [(ONE, 7)]
    assert app.ledger[ONE].committable == 7
    assert app.ledger.take(ONE, 1, 7)


async def test_what_retention_took_before_it_was_read_is_passed_over_and_said(consumer: Any, app: App, caplog):
    app.ledger.open(ONE, 1, 5)
    app.ledger.take(ONE, 1, 50)
    consumer._thread.starts = {ONE: 50}
    fetched(consumer, {})
    await handed_on(consumer)
    assert app.ledger[ONE].committable == 50
    assert "expired before it was read: in-0 5..49" in caplog.text


def test_the_last_message_is_read_again_when_two_looks_agree_that_it_is_lost():
    rereads, ledger = Rereads(), OffsetLedger[TP]()
    ledger.open(ONE, 1, 5)
    rereads.suspect(ONE, 5)
    assert rereads.due(ledger, 0.0) == {}
    rereads.suspect(ONE, 5)
    assert rereads.due(ledger, 1.0) == {ONE: 5}


def test_what_turns_up_between_two_looks_is_not_read_again():
    rereads, ledger = Rereads(), OffsetLedger[TP]()
    rereads.suspect(ONE, 5)
    rereads.suspect(ONE, None)
    rereads.suspect(ONE, 5)
    assert rereads.due(ledger, 0.0) == {}


def test_a_place_where_nothing_comes_is_read_again_less_and_less_often():
    rereads, ledger = Rereads(), OffsetLedger[TP]()
    ledger.open(ONE, 1, 5)
    ledger.take(ONE, 1, 7)
    reads = [now for now in range(200) if rereads.due(ledger, float(now))]
    assert len(reads) < 12
    assert cast(int, reads[1]) <= 1
