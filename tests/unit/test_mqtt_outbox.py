from __future__ import annotations

import asyncio

import pytest

from workers.mqtt.outbox import Message, Outbox


async def sent(outbox: Outbox, limit: int = 100) -> list[tuple[str, bytes]]:
    messages = await asyncio.wait_for(outbox.next(limit), 1)
    for message in messages:
        outbox.sent(message)
    return [(message.topic, message.payload) for message in messages]


async def test_of_what_is_kept_only_the_newest_is_sent_and_what_is_there_already_is_not():
    outbox = Outbox(max_news=10)
    outbox.keep("count", b"1")
    outbox.keep("count", b"2")
    assert await sent(outbox) == [("count", b"2")]

    outbox.keep("count", b"2")
    assert len(outbox) == 0


async def test_of_news_the_oldest_are_dropped_and_counted_where_too_many_wait():
    outbox = Outbox(max_news=2)
    assert [outbox.tell("events", b"%d" % n) for n in range(4)] == [False, False, True, True]
    assert outbox.dropped == 2
    assert await sent(outbox) == [("events", b"2"), ("events", b"3")]


async def test_nothing_is_gone_before_it_was_confirmed():
    outbox = Outbox(max_news=10)
    outbox.keep("count", b"1")
    outbox.tell("events", b"e")
    first = await outbox.next(10)
    assert await outbox.next(10) == first


async def test_what_changes_while_it_is_sent_is_sent_again():
    outbox = Outbox(max_news=10)
    outbox.keep("count", b"1")
    (message,) = await outbox.next(10)
    outbox.keep("count", b"2")
    outbox.sent(message)
    assert await sent(outbox) == [("count", b"2")]


async def test_after_a_connection_all_that_is_kept_is_sent_again_with_the_availability_last():
    outbox = Outbox(max_news=10)
    for topic in ("available", "a", "b"):
        outbox.keep(topic, topic.encode())
    await sent(outbox)

    assert outbox.resend(last="available") == 3
    assert [topic for topic, _ in await sent(outbox)] == ["a", "b", "available"]


async def test_what_is_forgotten_is_emptied_at_the_broker_and_not_sent_again():
    outbox = Outbox(max_news=10)
    outbox.keep("count", b"1")
    await sent(outbox)

    outbox.forget("count")
    outbox.forget("of an earlier run")
    assert await sent(outbox) == [("count", b""), ("of an earlier run", b"")]
    assert outbox.resend(last="available") == 0


async def test_who_has_nothing_to_send_waits_until_there_is():
    outbox = Outbox(max_news=10)
    waiting = asyncio.ensure_future(outbox.next(10))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.tell("events", b"e")
    assert await asyncio.wait_for(waiting, 1) == [Message("events", b"e", False, 1)]


@pytest.mark.parametrize("kept", [0, 50])
async def test_state_and_news_do_not_hold_each_other_up(kept: int):
    outbox = Outbox(max_news=100)
    for n in range(kept):
        outbox.keep(f"count/{n}", b"1")
    for n in range(30):
        outbox.tell("events", b"%d" % n)
    first = [topic for topic, _ in await sent(outbox, limit=10)]
    assert first.count("events") == 10
    assert len(first) == 10 + min(kept, 10)
