"""``in_order``: side by side across keys, one after the other within a key, acked in offset order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiokafka.errors import MessageSizeTooLargeError, NotLeaderForPartitionError
from faust.types.tuples import TP, ConsumerMessage

from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.delivery import KeyLocks, OffsetLedger, Record
from vision_stream.delivery.stage import Stage
from vision_stream.errors import MessageError
from vision_stream.messages import DeadLetter, decode

TOPIC = "in"
PLACE = TP(TOPIC, 0)


class Letters:
    """A dead-letter outbox that keeps what it gets."""

    def __init__(self, *troubles: Exception) -> None:
        self.letters: list[DeadLetter] = []
        self._troubles = list(troubles)

    async def deliver_bytes(self, key: bytes | None, payloads: list[bytes]) -> None:
        if self._troubles:
            raise self._troubles.pop(0)
        self.letters += [decode(payload, DeadLetter) for payload in payloads]


class App:
    """What a stage uses of the app."""

    def __init__(self, *troubles: Exception) -> None:
        self.ledger: OffsetLedger[TP] = OffsetLedger()
        self.ledger.open(PLACE, 1, 0)
        self.dead_letters = Letters(*troubles)


class Event:
    def __init__(self, offset: int, key: bytes, value: bytes, generation: int = 1) -> None:
        self.message = ConsumerMessage(
            TOPIC, 0, offset, 1.0, 0, [], key, value, None, tp=PLACE, generation_id=generation
        )


class Stream:
    """A stream of events that ends only with its agent; remembers what was acked."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self.acked: list[int] = []
        self.channel = type("Channel", (), {"topics": [TOPIC]})

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.queue.get()

    async def ack(self, event: Event) -> None:
        self.acked.append(event.message.offset)

    def send(self, *keys: str, first: int = 0, generation: int = 1) -> None:
        for n, key in enumerate(keys):
            self.queue.put_nowait(Event(first + n, key.encode(), f"{key}{first + n}".encode(), generation))


class Handler:
    """Waits until it is told how a message ends."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self._ends: dict[int, asyncio.Future[None]] = {}

    async def __call__(self, record: Record) -> None:
        self.started.append(record.offset)
        await self._end(record.offset)

    def _end(self, offset: int) -> asyncio.Future[None]:
        return self._ends.setdefault(offset, asyncio.get_running_loop().create_future())

    def finish(self, offset: int) -> None:
        self._end(offset).set_result(None)

    def fail(self, offset: int, error: BaseException) -> None:
        self._end(offset).set_exception(error)


class Run:
    """A running stage."""

    def __init__(self, handler: Any, *, in_flight: int = 10, span: int = 40, locks: KeyLocks | None = None) -> None:
        self.app, self.stream = App(), Stream()
        self.stage = Stage(cast(Any, self.app), "test", in_flight, span)
        self._background = Background()
        self._background.spawn(self.stage.run(cast(Any, self.stream), handler, locks), name="agent")

    async def close(self) -> None:
        await self._background.close()
        await self.stage.settle(0)


@pytest.fixture
async def runs() -> AsyncIterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        await run.close()


async def test_acks_come_in_offset_order_whatever_ends_first(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.stream.send("a", "b", "c")
    await eventually(lambda: handler.started == [0, 1, 2])
    handler.finish(2)
    handler.finish(1)
    await eventually(lambda: run.stage.running == 1)
    assert run.stream.acked == []
    assert run.app.ledger[PLACE].committable == 0
    handler.finish(0)
    await eventually(lambda: run.stream.acked == [0, 1, 2])
    assert run.app.ledger[PLACE].committable == 3


async def test_messages_of_one_key_are_handled_one_after_the_other(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler, locks=KeyLocks()))
    run.stream.send("a", "a", "b")
    await eventually(lambda: handler.started == [0, 2])
    handler.finish(0)
    await eventually(lambda: handler.started == [0, 2, 1])


async def test_two_stages_that_share_their_locks_take_turns(runs: list[Run]):
    locks, first, second = KeyLocks(), Handler(), Handler()
    runs += (one := Run(first, locks=locks), two := Run(second, locks=locks))
    one.stream.send("a")
    await eventually(lambda: first.started == [0])
    two.stream.send("a", "b")
    await eventually(lambda: second.started == [1])
    first.finish(0)
    await eventually(lambda: second.started == [1, 0])


async def test_no_more_handlers_run_than_in_flight(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler, in_flight=2))
    run.stream.send(*"abcd")
    await eventually(lambda: len(run.stage) == 4)
    assert handler.started == [0, 1]
    handler.finish(0)
    await eventually(lambda: handler.started == [0, 1, 2])


async def test_no_more_messages_are_taken_than_the_span(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler, in_flight=10, span=3))
    run.stream.send(*"abcdef")
    await eventually(lambda: len(run.stage) == 3)
    handler.finish(1)
    handler.finish(2)
    await eventually(lambda: run.stage.running == 1)
    assert handler.started == [0, 1, 2]  # the oldest holds the others up, and bounds what a kill repeats
    handler.finish(0)
    await eventually(lambda: handler.started == [0, 1, 2, 3, 4, 5])


async def test_an_unreadable_message_is_buried_with_its_bytes_and_acked(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.stream.send("a", "b")
    handler.fail(0, MessageError("not a Detection"))
    handler.finish(1)
    await eventually(lambda: run.stream.acked == [0, 1])
    (letter,) = run.app.dead_letters.letters
    assert (letter.topic, letter.partition, letter.offset) == (TOPIC, 0, 0)
    assert (letter.key, letter.value) == (b"a", b"a0")
    assert "not a Detection" in letter.error


async def test_a_fault_of_ours_is_buried_and_the_agent_goes_on(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.stream.send("a", "b")
    handler.fail(0, ZeroDivisionError("of ours"))
    handler.finish(1)
    await eventually(lambda: run.stream.acked == [0, 1])
    assert "ZeroDivisionError: of ours" in run.app.dead_letters.letters[0].error


async def test_trouble_of_the_brokers_is_tried_again(runs: list[Run]):
    tries: list[int] = []

    async def handler(record: Record) -> None:
        tries.append(record.offset)
        if len(tries) < 3:
            raise NotLeaderForPartitionError()

    runs.append(run := Run(handler))
    run.stream.send("a")
    await eventually(lambda: run.stream.acked == [0])
    assert tries == [0, 0, 0]
    assert run.app.dead_letters.letters == []


async def test_an_error_that_does_not_pass_is_not_tried_again(runs: list[Run]):
    tries: list[int] = []

    async def handler(record: Record) -> None:
        tries.append(record.offset)
        raise MessageSizeTooLargeError()

    runs.append(run := Run(handler))
    run.stream.send("a")
    await eventually(lambda: run.stream.acked == [0])
    assert tries == [0]
    assert len(run.app.dead_letters.letters) == 1


async def test_nothing_is_acked_before_its_dead_letter_is_delivered(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.app.dead_letters = Letters(NotLeaderForPartitionError(), NotLeaderForPartitionError())
    run.stream.send("a")
    handler.fail(0, MessageError("bad"))
    await eventually(lambda: handler.started == [0])
    assert run.stream.acked == []
    await eventually(lambda: run.stream.acked == [0])
    assert len(run.app.dead_letters.letters) == 1


async def test_a_letter_that_is_too_large_is_buried_with_its_head(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.app.dead_letters = Letters(MessageSizeTooLargeError())
    run.stream.queue.put_nowait(Event(0, b"a", b"x" * 300_000))
    handler.fail(0, MessageError("bad"))
    await eventually(lambda: run.stream.acked == [0])
    (letter,) = run.app.dead_letters.letters
    assert len(letter.value or b"") == 200_000
    assert "of 300000 bytes" in letter.error


async def test_work_that_is_broken_off_stays_unacked_and_comes_again(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.stream.send("a", "b")
    await eventually(lambda: handler.started == [0, 1])
    handler.finish(1)
    await eventually(lambda: run.stage.running == 1)
    await run.stage.settle(0.01)
    assert run.stream.acked == []
    assert run.app.ledger[PLACE].missing() == 0
    run.stream.send("a")
    await eventually(lambda: handler.started == [0, 1, 0])


async def test_an_agent_that_is_cancelled_leaves_its_work_to_the_stage(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.stream.send("a")
    await eventually(lambda: handler.started == [0])
    await run._background.close()
    handler.finish(0)
    await eventually(lambda: run.stream.acked == [0])


async def test_a_message_of_an_old_generation_is_neither_handled_nor_acked(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler))
    run.app.ledger.open(PLACE, 2, 0)
    run.stream.send("a", generation=1)
    run.stream.send("b", generation=2)
    await eventually(lambda: handler.started == [0])
    handler.finish(0)
    await eventually(lambda: run.stream.acked == [0])
    assert run.app.ledger[PLACE].committable == 1


async def test_what_ends_after_a_revocation_acks_nothing_and_makes_room(runs: list[Run]):
    handler = Handler()
    runs.append(run := Run(handler, span=1))
    run.stream.send("a", "b")
    await eventually(lambda: handler.started == [0])
    run.app.ledger.close([PLACE])
    run.stage.forget()
    handler.finish(0)
    await eventually(lambda: run.stage.running == 0)
    assert run.stream.acked == []
    assert len(run.stage) == 0


async def test_locks_that_nobody_holds_are_forgotten():
    locks = KeyLocks()
    async with locks.hold("a"), locks.hold("b"):
        assert len(locks) == 2
    assert len(locks) == 0
