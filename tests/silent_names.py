"""Name servers that do not answer: who looks a name up waits, as long as this lasts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_name_server() -> Iterator[None]:
    ended = threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        ended.wait(30)
        raise socket.gaierror("nobody answered")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", silent)
        try:
            yield
        finally:
            ended.set()
