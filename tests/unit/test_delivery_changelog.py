"""Where the changes of tables go, and who waits until they are there."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from tests.waiting import eventually
from vision_stream.app import app
from vision_stream.background import Background
from vision_stream.delivery.changelog import collect, collected, owned


def test_a_table_of_one_partition_is_written_before_the_producer_knows_its_topic():
    table = app.GlobalTable("one", partitions=1, use_partitioner=True)

    assert table.partition_for_key(b"key-001") == 0


class Broker:
    """Takes a change, and says later what became of it."""

    def __init__(self) -> None:
        self.sent: list[asyncio.Future[None]] = []

    def send(self) -> Any:
        self.sent.append(asyncio.get_running_loop().create_future())
        return self.sent[-1]


async def test_a_change_that_is_owned_is_sent_again_though_its_handler_was_broken_off():
    broker, background = Broker(), Background()

    async def handle() -> None:
        with collected():
            with owned(background, name="a row is delivered"):
                collect(partial(broker.send))
            await asyncio.Event().wait()

    handler = asyncio.ensure_future(handle())
    await eventually(lambda: len(broker.sent) == 1)
    handler.cancel()
    broker.sent[0].set_exception(KafkaConnectionError("away"))

    await eventually(lambda: len(broker.sent) == 2)
    broker.sent[1].set_result(None)
    await eventually(lambda: not background)
    assert not background.failures


async def test_the_failure_of_one_that_is_owned_is_seen_by_its_owner_and_by_the_handler_that_waits():
    broker, background = Broker(), Background()
    with collected() as changes:
        with owned(background, name="a row is delivered"):
            collect(partial(broker.send))
        broker.sent[0].set_exception(MessageSizeTooLargeError("too large"))

        with pytest.raises(MessageSizeTooLargeError):
            await changes.delivered()
    assert [type(failure) for failure in background.failures] == [MessageSizeTooLargeError]


async def test_a_handler_waits_until_what_it_changed_is_delivered_by_the_owner():
    broker, background = Broker(), Background()
    with collected() as changes, owned(background, name="a row is delivered"):
        collect(partial(broker.send))
    handled = asyncio.ensure_future(changes.delivered())
    await eventually(lambda: len(background) == 1)
    await asyncio.sleep(0)
    assert not handled.done()

    broker.sent[0].set_result(None)
    await handled


async def test_a_block_that_changes_nothing_leaves_nothing_to_deliver():
    background = Background()
    with owned(background, name="a row is delivered"):
        pass

    assert not background
