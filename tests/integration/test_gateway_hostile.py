"""What a hostile browser can send to the real gateway process: another browser is served meanwhile, memory stays."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.raw_socket import BINARY, CONTINUATION, PING, TEXT, RawSocket, frame, raw_socket
from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.server_process import ServerProcess, free_ports
from workers.gateway.protocol import MAX_MESSAGE_BYTES

ROOT = Path(__file__).parents[2]
SERVED_WITHIN_S = 5.0  # 5 ms on an idle machine
GROWTH = 48 * 2**20  # bytes of memory; some of it is the allocator's
PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")


class Gateway:
    def __init__(self, port: int, process: ServerProcess) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def memory(self) -> int:
        """Bytes that it has resident."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    @asynccontextmanager
    async def under_attack(self) -> AsyncIterator[None]:
        """Within the block another browser is answered all the time; at its end the process is as large as before."""
        before, background = self.memory(), Background()
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{self.url}/ws") as ws:
            await ws.receive_json(timeout=PATIENCE_S)
            slowest = [0.0]
            background.spawn(_ask(ws, slowest), name="the other browser")
            try:
                yield
                await _answered(ws, slowest)
            finally:
                await background.close()
        assert slowest[0] < SERVED_WITHIN_S
        assert self.process.running, self.process.tail(30)
        assert self.memory() - before < GROWTH


async def _ask(ws: aiohttp.ClientWebSocketResponse, slowest: list[float]) -> None:
    while True:
        began = time.monotonic()
        await ws.send_json({"type": "ping"})
        assert (await ws.receive_json(timeout=PATIENCE_S))["type"] == "pong"
        slowest[0] = max(slowest[0], time.monotonic() - began)
        slowest.append(began)
        await asyncio.sleep(0.02)


async def _answered(ws: aiohttp.ClientWebSocketResponse, slowest: list[float]) -> None:
    """Once more after now."""
    now = time.monotonic()
    await eventually(lambda: slowest[-1] > now, within_s=PATIENCE_S, what="the other browser is answered")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    from tests.conftest import run_apart

    directory, (port,) = tmp_path_factory.mktemp("gateway"), free_ports(1)
    environ = {
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "ALGO_ENABLE_REDIS": "false",
        "PYTHONPATH": str(ROOT),
    }
    argv = (sys.executable, "-m", "workers.gateway", "--port", str(port))
    process = ServerProcess("gateway", argv, log=directory / "gateway.log", cwd=directory, environ=environ)
    process.start()
    try:
        run_apart(eventually(lambda: "Dashboard:" in process.tail(), within_s=30))
        yield Gateway(port, process)
    finally:
        run_apart(process.stop())


def subscribe(*cameras: str) -> bytes:
    return json.dumps({"type": "subscribe", "cameras": cameras}).encode()


def in_fragments(message: bytes, *, end: bool = True) -> bytes:
    """One byte a frame."""
    opcodes = [TEXT, *[CONTINUATION] * (len(message) - 1)]
    last = len(message) - 1
    return b"".join(frame(message[n : n + 1], opcodes[n], end=end and n == last) for n in range(len(message)))


async def code_of(socket: RawSocket) -> int | None:
    return await asyncio.wait_for(socket.close_code(), PATIENCE_S)


async def test_a_message_in_fragments_of_one_byte_is_understood(gateway: Gateway):
    async with gateway.under_attack(), raw_socket(gateway.url) as socket:
        await socket.receive()
        await socket.send(in_fragments(subscribe("cam-01")))

        _, answer = await asyncio.wait_for(socket.receive(), PATIENCE_S)

    assert json.loads(answer) == {"type": "subscribed", "cameras": ["cam-01"]}


CLOSED = {
    "fragments without end": (in_fragments(b"x" * (MAX_MESSAGE_BYTES + 2), end=False), 1009),
    "a message that is too long": (frame(b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
    "a message said to be of 2^62 bytes": (frame(claimed=2**62), 1009),
    "no UTF-8": (frame(b'{"type":"ping","id":"\xff\xfe"}'), 1007),
    "no UTF-8 in a surrogate": (frame(b'{"type":"ping","id":"\xed\xa0\x80"}'), 1007),
    "binary frames": (frame(b"\x00" * 1000, BINARY) * 30, 1008),
    "10,000 cameras in one message": (frame(subscribe(*(f"camera-{n}" for n in range(10_000)))), 1009),
    "10,000 cameras in many": (b"".join(frame(subscribe(f"camera-{n}")) for n in range(10_000)), 1008),
    "an unknown opcode": (frame(b"x", 0x3), 1002),
    "reserved bits": (frame(b"x", reserved=0x20), 1002),
    "a long ping": (frame(b"x" * 126, PING), 1002),
    "a ping in fragments": (frame(b"x", PING, end=False), 1002),
    "a continuation of nothing": (frame(b"x", CONTINUATION), 1002),
    "a second message within the first": (frame(b"x", end=False) + frame(b"x"), 1002),
    "nonsense": (frame(b"[" * 10_000) * 30, 1008),
}


@pytest.mark.parametrize(("sent", "code"), CLOSED.values(), ids=CLOSED)
async def test_what_is_no_message_closes_the_session_with_its_code(gateway: Gateway, sent: bytes, code: int):
    async with gateway.under_attack(), raw_socket(gateway.url) as socket:
        await socket.receive()
        await socket.send(sent)

        assert await code_of(socket) == code


async def test_a_session_may_change_its_mind_10_000_times(gateway: Gateway):
    async with gateway.under_attack(), raw_socket(gateway.url) as socket:
        await socket.receive()
        unsubscribe = json.dumps({"type": "unsubscribe", "cameras": "*"}).encode()
        both = frame(subscribe("cam-01", "cam-02")) + frame(unsubscribe)
        async with asyncio.TaskGroup() as group:
            group.create_task(socket.send(both * 5000))
            answers = [await asyncio.wait_for(socket.receive(), PATIENCE_S) for _ in range(10_000)]

    assert json.loads(answers[-1][1])["cameras"] == []


@pytest.mark.parametrize(
    "flood",
    [
        frame(b"x" * 125, PING) * 2000,
        frame(json.dumps({"type": "ping", "id": "x" * 100}).encode()) * 2000,
        frame(b"", TEXT, end=False) + frame(b"", CONTINUATION, end=False) * 2000,
    ],
    ids=["pings", "messages that are answered", "empty fragments"],
)
async def test_who_floods_and_never_reads_is_held_back(gateway: Gateway, flood: bytes):
    """Its answers fill the buffers, and then nothing more is taken from it."""
    async with gateway.under_attack(), raw_socket(gateway.url, receive_buffer=1024) as socket:
        began = time.monotonic()
        while time.monotonic() - began < 2.0:
            try:
                await asyncio.wait_for(socket.send(flood), 1.0)
            except TimeoutError:
                break
            if flood[0] == TEXT:  # a message begins once
                flood = flood[6:]


async def test_hundreds_who_connect_and_say_nothing_are_no_burden(gateway: Gateway):
    at, connections = gateway.url.removeprefix("http://").split(":"), []
    async with gateway.under_attack():
        try:
            for n in range(400):
                _, writer = await asyncio.open_connection(at[0], int(at[1]))
                writer.write(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " if n % 2 else b"")
                connections.append(writer)
            async with aiohttp.ClientSession() as client, client.get(f"{gateway.url}/healthz") as answer:
                assert answer.status == 200
        finally:
            for writer in connections:
                writer.transport.abort()
