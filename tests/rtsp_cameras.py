"""Cameras as they are: a real RTSP server in a process that can be stopped, killed, paused and started anew."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

PYTHON = "/usr/bin/python3"  # Debian's: it has GStreamer's bindings
SERVER = Path(__file__).with_name("rtsp_server.py")
START_S = 20.0


@cache
def has_rtsp_server() -> bool:
    look = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        return subprocess.run([PYTHON, "-c", look], capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False


class RtspServer:
    """Its port stays the same, however often it is started. ``async with`` starts it, and ends it however it stands."""

    def __init__(self, mounts: Mapping[str, str], *, users: Mapping[str, str] | None = None, digest: bool = False):
        """
        Args:
            mounts: a path's name -> its kind; see ``rtsp_server``. See each over TCP or over UDP, not both: GStreamer
                adds the other's sink to a pipeline that runs, where it waits for ever now and then (one time in 60
                on a busy machine), with all who look at that path from then on.
            users: name -> password; none: everybody may see it.
        """
        self.port = 0
        self._mounts, self._users, self._digest = dict(mounts), dict(users or {}), digest
        self._process: Process | None = None

    async def __aenter__(self) -> RtspServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # also ends one that is paused
            await self._process.communicate()

    def url(self, name: str, *, login: str = "", port: int | None = None) -> str:
        """``login``: with its ``@``."""
        return f"rtsp://{login}127.0.0.1:{port or self.port}/{name}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(PYTHON, str(SERVER), stdin=PIPE, stdout=PIPE)
        wanted = {"port": self.port, "mounts": self._mounts, "users": self._users, "digest": self._digest}
        self.port = int(await self._ask(json.dumps(wanted)))

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Its connections stay, and new ones are taken by the kernel; nothing comes over them."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    async def tell(self, what: str, name: str) -> None:
        """``what``: mute, freeze or play."""
        line = f"{what} {name}"
        assert await self._ask(line) == line

    async def _ask(self, line: str) -> str:
        process = self._running
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(START_S):
            return (await process.stdout.readline()).decode().strip()

    async def _end(self, number: signal.Signals) -> None:
        self._running.send_signal(number)
        async with asyncio.timeout(START_S):
            await self._running.communicate()

    @property
    def _running(self) -> Process:
        assert self._process is not None
        return self._process


@asynccontextmanager
async def udp_firewall(server: RtspServer) -> AsyncIterator[int]:
    """A way to ``server``, by its port, on which UDP is lost: whoever asks for it is sent it to ports of nobody."""
    with socket.socket(type=socket.SOCK_DGRAM) as rtp, socket.socket(type=socket.SOCK_DGRAM) as rtcp:
        for nobody in (rtp, rtcp):
            nobody.bind(("127.0.0.1", 0))
        ports = f"client_port={rtp.getsockname()[1]}-{rtcp.getsockname()[1]}".encode()

        async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.gather(_pass(reader, far_writer, ports), _pass(far_reader, writer))

        async with await asyncio.start_server(through, "127.0.0.1", 0) as relay:
            yield relay.sockets[0].getsockname()[1]


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ports: bytes | None = None) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(re.sub(rb"client_port=\d+-\d+", ports, data) if ports else data)
    writer.close()
