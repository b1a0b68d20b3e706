"""The WebSocket, on a real server."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from tests.gateway_parts import (
    WAIT_S,
    a_detection,
    a_gateway,
    a_status,
    an_alert,
    an_assessment,
    hear,
    listening,
)
from tests.waiting import eventually
from workers.gateway.hub import Hub
from workers.gateway.protocol import MAX_MESSAGE_BYTES


async def test_a_browser_is_greeted_with_its_session_and_the_servers_time():
    async with a_gateway() as gateway, gateway.client.ws_connect("/ws") as ws:
        ack = await hear(ws)

    assert ack["type"] == "connection_ack"
    assert len(ack["session_id"]) == 32
    assert abs(ack["server_time"] - time.time()) < 10


async def test_what_the_pipeline_says_reaches_the_browser():
    async with a_gateway() as gateway, listening(gateway) as ws:
        await gateway.hub.status(a_status())
        await gateway.hub.detection(a_detection())
        await gateway.hub.assessment(an_assessment())
        await gateway.hub.assessment(an_alert())

        heard = {message["type"]: message for message in [await hear(ws) for _ in range(4)]}

    assert set(heard) == {"camera_status", "detection_result", "risk_assessment", "alert"}
    assert {message["camera_id"] for message in heard.values()} == {"cam-01"}
    assert heard["detection_result"]["data"]["objects"][0]["box"] == [100, 100, 200, 200]
    assert heard["risk_assessment"]["data"]["max_risk_level"] == "high"


async def test_only_subscribed_cameras_are_heard_until_unsubscribed():
    async with a_gateway() as gateway, listening(gateway, ["a", "b"]) as ws:
        await gateway.hub.detection(a_detection("c"))
        await gateway.hub.detection(a_detection("a"))
        assert (await hear(ws))["camera_id"] == "a"

        await ws.send_json({"type": "unsubscribe", "cameras": ["a"]})
        assert await hear(ws) == {"type": "subscribed", "cameras": ["b"]}
        await gateway.hub.detection(a_detection("a", sequence=2))
        await gateway.hub.detection(a_detection("b"))
        assert (await hear(ws))["camera_id"] == "b"


async def test_a_new_subscription_is_sent_what_is_known():
    async with a_gateway() as gateway:
        await gateway.hub.status(a_status())
        await gateway.hub.detection(a_detection(sequence=7))
        await gateway.hub.assessment(an_assessment())
        await gateway.hub.assessment(an_alert())

        async with listening(gateway, ["cam-01"]) as ws:
            types = [(await hear(ws))["type"] for _ in range(4)]

    assert types == ["camera_status", "detection_result", "risk_assessment", "alert"]


async def test_subscribing_twice_does_not_repeat_what_is_known():
    async with a_gateway() as gateway:
        await gateway.hub.detection(a_detection())
        async with listening(gateway, ["cam-01"]) as ws:
            assert (await hear(ws))["type"] == "detection_result"
            await ws.send_json({"type": "subscribe", "cameras": "*"})
            assert await hear(ws) == {"type": "subscribed", "cameras": "*"}
            await ws.send_json({"type": "ping", "id": "last"})

            assert (await hear(ws))["type"] == "pong"


async def test_a_ping_is_answered_with_its_id_and_the_time():
    async with a_gateway() as gateway, listening(gateway) as ws:
        await ws.send_json({"type": "ping", "id": 7})
        pong = await hear(ws)

    assert (pong["type"], pong["id"]) == ("pong", 7)
    assert pong["server_time"] > 0


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("not json", id="no JSON"),
        pytest.param("[1, 2]", id="no object"),
        pytest.param('{"type": "launch"}', id="unknown type"),
        pytest.param('{"type": "subscribe"}', id="no cameras"),
        pytest.param('{"type": "subscribe", "cameras": ["../../etc"]}', id="no camera id"),
        pytest.param(json.dumps({"type": "subscribe", "cameras": [f"c{i}" for i in range(1001)]}), id="too many"),
        pytest.param("[" * 5000, id="nested"),
    ],
)
async def test_bad_input_is_answered_with_an_error_and_the_session_goes_on(sent):
    async with a_gateway() as gateway, listening(gateway) as ws:
        await ws.send_str(sent)
        error = await hear(ws)
        await ws.send_json({"type": "ping"})

        assert (error["type"], error["code"]) == ("error", "bad_message")
        assert (await hear(ws))["type"] == "pong"


async def test_a_binary_frame_is_an_error():
    async with a_gateway() as gateway, listening(gateway) as ws:
        await ws.send_bytes(b"\x00\xff")

        assert (await hear(ws))["code"] == "bad_message"


async def test_a_thousand_cameras_at_most_are_named_by_one_session():
    async with a_gateway() as gateway, listening(gateway, [f"a{i}" for i in range(600)]) as ws:
        await ws.send_json({"type": "subscribe", "cameras": [f"b{i}" for i in range(600)]})

        assert (await hear(ws))["code"] == "bad_subscription"


async def test_a_session_that_sends_nothing_but_nonsense_is_closed():
    async with a_gateway() as gateway, listening(gateway) as ws:
        for _ in range(21):
            await ws.send_str("nonsense")
        for _ in range(20):
            await hear(ws)

        assert (await hear(ws))["code"] == "too_many_errors"
        assert (await ws.receive(timeout=WAIT_S)).type is WSMsgType.CLOSE
        assert ws.close_code == 1008


async def test_an_oversized_message_closes_the_session():
    async with a_gateway() as gateway, listening(gateway) as ws:
        await ws.send_str("x" * (MAX_MESSAGE_BYTES + 1))
        await ws.receive(timeout=WAIT_S)

        assert ws.close_code == 1009
        await eventually(lambda: gateway.hub.session_count == 0)


async def test_a_hundred_browsers_each_get_every_alert():
    async with a_gateway() as gateway, asyncio.TaskGroup() as group:

        async def one_browser() -> list[str]:
            async with listening(gateway) as ws:
                ready.release()
                return [(await hear(ws))["data"]["alert_id"] for _ in range(20)]

        ready = asyncio.Semaphore(0)
        browsers = [group.create_task(one_browser()) for _ in range(100)]
        for _ in browsers:
            await ready.acquire()
        for i in range(20):
            await gateway.hub.assessment(an_alert(alert_id=f"a-{i}"))
        heard = [await browser for browser in browsers]

    assert heard == [[f"a-{i}" for i in range(20)]] * 100


def transport_of(ws: ClientWebSocketResponse) -> asyncio.Transport:
    transport = ws._response.connection.transport  # type: ignore[union-attr]
    assert isinstance(transport, asyncio.Transport)
    return transport


def a_large_detection(sequence: int):
    """About 60 KB, so that a few fill the buffers of a browser that does not read."""
    objects = a_detection().objects[:1] * 600
    return a_detection(sequence=sequence, objects=objects, groups=())


async def test_a_browser_that_does_not_read_gets_the_newest_detection_and_holds_nobody_back():
    async with a_gateway() as gateway, listening(gateway) as quick, listening(gateway) as slow:
        reading = transport_of(slow)
        reading.pause_reading()
        for sequence in range(1, 201):
            await gateway.hub.detection(a_large_detection(sequence))
            assert (await hear(quick))["data"]["sequence"] == sequence
        reading.resume_reading()

        seen = [(await hear(slow))["data"]["sequence"]]
        while seen[-1] != 200:
            seen.append((await hear(slow))["data"]["sequence"])

    assert seen == sorted(set(seen))
    assert len(seen) < 150  # the rest was replaced by newer ones while it did not read


async def test_a_browser_that_stays_behind_is_dropped():
    async with a_gateway(behind_s=0.3) as gateway, listening(gateway) as quick, listening(gateway) as slow:
        reading = transport_of(slow)
        reading.pause_reading()
        sequence = 0
        while gateway.hub.session_count == 2 and sequence < 2000:
            sequence += 1
            await gateway.hub.detection(a_large_detection(sequence))
            await hear(quick)

        assert gateway.hub.session_count == 1
        await gateway.hub.detection(a_detection("cam-02"))
        assert (await hear(quick))["camera_id"] == "cam-02"
        reading.abort()


async def test_a_session_leaves_nothing_behind():
    hub = Hub()
    async with a_gateway(hub=hub) as gateway:
        async with listening(gateway, ["a", "b"]), listening(gateway):
            assert hub.session_count == 2
        await eventually(lambda: hub.session_count == 0)

    assert not hub._by_camera
    assert not hub._all


async def test_when_the_server_stops_browsers_are_told():
    async with a_gateway() as gateway, listening(gateway) as ws, asyncio.TaskGroup() as group:
        group.create_task(gateway.app.shutdown())
        closing = await ws.receive(timeout=WAIT_S)

    assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1001)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("https://evil.example", 403, id="foreign"),
        pytest.param("null", 403, id="sandboxed"),
        pytest.param("https://panel.example", 101, id="listed"),
        pytest.param(None, 101, id="a program"),
        pytest.param("own", 101, id="the gateway's own page"),
    ],
)
async def test_only_pages_of_known_origins_open_the_socket(origin, status):
    async with a_gateway(allowed_origins=["https://panel.example"]) as gateway:
        headers = {} if origin is None else {"Origin": gateway.url if origin == "own" else origin}
        try:
            async with gateway.client.ws_connect("/ws", headers=headers) as ws:
                found = 101
                assert (await hear(ws))["type"] == "connection_ack"
        except WSServerHandshakeError as error:
            found = error.status

    assert found == status
