"""When a request reached this machine, by the kernel's clock: not when a busy event loop got to it.

A provider counts what arrives. A simulator that shares its processor with all else would count its own lateness.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from typing import Any

_SO_TIMESTAMPNS = 35  # Linux: each receive tells when its last bytes came in; ``socket`` has no name for it
_STAMP = struct.Struct("@qq")
_ANCILLARY = socket.CMSG_SPACE(_STAMP.size) if hasattr(socket, "CMSG_SPACE") else 0

Address = tuple[Any, ...]


class ListeningSocket(socket.socket):
    """Bound to ``host`` and ``port``; the sockets it accepts note when their last bytes arrived."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self._arrivals: dict[Address, float] = {}
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            self.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # what it accepts inherits it
        self.bind((host, port))

    def accept(self) -> tuple[socket.socket, Address]:
        connection, address = super().accept()
        if sys.platform != "linux":
            return connection, address
        return _Connection(connection, self._arrivals, address), address

    def arrived_at(self, address: Address) -> float:
        """Epoch seconds when the last bytes of the connection from ``address`` arrived; now where nobody knows."""
        return self._arrivals.get(address, 0.0) or time.time()


class _Connection(socket.socket):
    def __init__(self, accepted: socket.socket, arrivals: dict[Address, float], address: Address) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._arrivals, self._address = arrivals, address

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data, notes, *_ = self.recvmsg(bufsize, _ANCILLARY, flags)
        for level, kind, note in notes:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _STAMP.unpack_from(note)
                self._arrivals[self._address] = seconds + nanoseconds / 1e9
        return data

    def close(self) -> None:
        self._arrivals.pop(self._address, None)
        super().close()
