"""A WebSocket client that sends what no well-behaved one would, byte by byte as told."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(
    payload: bytes = b"", opcode: int = TEXT, *, end: bool = True, reserved: int = 0, claimed: int | None = None
) -> bytes:
    """One masked frame. ``claimed``: the length that the header says instead of the payload's."""
    length, mask = len(payload) if claimed is None else claimed, os.urandom(4)
    if length < 126:
        size = struct.pack(">B", 0x80 | length)
    elif length < 2**16:
        size = struct.pack(">BH", 0x80 | 126, length)
    else:
        size = struct.pack(">BQ", 0x80 | 127, length)
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes([0x80 * end | reserved | opcode]) + size + mask + masked


class RawSocket:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """As much of it as the other side takes."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass  # it has closed: what it said before is still to be read

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload.

        Raises:
            IncompleteReadError, ConnectionError: there is none.
        """
        first, size = await self._reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack(">H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
        return first & 0x0F, await self._reader.readexactly(size)

    async def close_code(self) -> int | None:
        """Read to the end; the code of the close frame, None where the connection ended without one."""
        try:
            while True:
                opcode, payload = await self.receive()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


@asynccontextmanager
async def raw_socket(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[RawSocket]:
    """Connected to ``/ws`` of the server at ``url``; ``receive_buffer``: bytes, of asyncio's."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port or 80, limit=receive_buffer or 2**16)
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET /ws HTTP/1.1\r\nHost: {at.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()
