"""The auditor as a session of a real gateway, and as a reader of a real process's metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.gateway_parts import a_gateway, an_alert, an_assessment
from tests.waiting import eventually
from vision_stream.audit.asking import Asking
from vision_stream.audit.facts import PushId
from vision_stream.audit.viewing import Viewing
from vision_stream.background import Background
from workers.gateway import keys


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    background = Background()
    background.spawn(work, name="under test")
    try:
        yield
    finally:
        await background.close()


def pushes(viewing: Viewing) -> list[PushId]:
    return [push.id for session in viewing.sessions(time.time()) for push in session.pushes]


async def test_it_sees_each_join_and_alert_once_however_often_kafka_brings_them():
    viewing = Viewing(kept_s=60)
    async with a_gateway() as gateway, running(viewing.watch(gateway.url)):
        await eventually(lambda: viewing.sessions(time.time()))
        for message in (an_assessment(), an_assessment(), an_alert(), an_alert()):
            await gateway.hub.assessment(message)
        await eventually(lambda: len(pushes(viewing)) >= 2)
        await gateway.hub.assessment(an_assessment(request_id="cam-01:s:2"))
        await eventually(lambda: len(pushes(viewing)) >= 3)

    assert [push.id for push in pushes(viewing)] == ["cam-01:s:1", "a-1", "cam-01:s:2"]


async def test_it_comes_in_with_the_token_and_says_where_it_may_not():
    let_in, kept_out = Viewing(kept_s=60), Viewing(kept_s=60)
    async with (
        a_gateway(token="canary-token") as gateway,
        running(let_in.watch(gateway.url, "canary-token")),
        running(kept_out.watch(gateway.url)),
    ):
        await eventually(lambda: let_in.sessions(time.time()))
        await eventually(lambda: kept_out.refused != "no answer")
        assert await let_in.let_in(5)

    assert not await kept_out.let_in(0)
    assert kept_out.sessions(time.time()) == ()
    assert "canary" not in kept_out.refused


async def test_a_session_that_breaks_off_ends_and_another_begins():
    viewing = Viewing(kept_s=60)
    async with a_gateway() as gateway, running(viewing.watch(gateway.url)):
        await eventually(lambda: viewing.sessions(time.time()))
        for socket in tuple(gateway.app[keys.SOCKETS]):
            await socket.close()
        await eventually(lambda: len(viewing.sessions(time.time())) == 2)

        first, second = viewing.sessions(time.time())
        assert first.ended <= second.begun


async def test_pushes_are_forgotten_after_a_while():
    viewing = Viewing(kept_s=60)
    async with a_gateway() as gateway, running(viewing.watch(gateway.url)):
        await eventually(lambda: viewing.sessions(time.time()))
        await gateway.hub.assessment(an_assessment())
        await eventually(lambda: pushes(viewing))

        (session,) = viewing.sessions(time.time() + 120)

    assert session.pushes == ()
    assert session.begun > time.time()  # what it got before is no longer known


async def test_processes_are_looked_at_by_a_name_without_a_password():
    async with a_gateway() as gateway:
        asking = Asking((gateway.url.replace("http://", "http://user:canary@"),))
        async with running(asking.watch()):
            (name,) = asking.looks()
            await eventually(lambda: asking.looks()[name])

    assert name == gateway.url.removeprefix("http://")
    assert asking.looks()[name][-1].at <= time.time()
