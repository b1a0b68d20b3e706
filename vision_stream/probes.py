"""Is this process alive, and ready? Served beside ``/metrics`` by a thread of its own, which answers when a loop hangs.

/healthz   200 while every loop that beats has beaten lately; 503 says which has not: restart the process
/readyz    200 when nothing keeps the process from its work; 503 says what
/metrics   Prometheus's
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

Check = Callable[[], str | None]  # why not ready; None: ready

BEAT_S = 1.0
WEDGED_S = 30.0  # without a beat. The longest that a loop was held here is 3 s, by imports; a rebalance holds it 0.1 s


class Probes:
    """What one process knows of itself. ``beat`` runs on an event loop; everything else may be called by any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        self._checks: dict[str, Check] = {}

    def require(self, name: str, check: Check) -> None:
        self._checks[name] = check

    async def beat(self, loop: str, told: Callable[[], None] = lambda: None) -> None:
        """Beat until cancelled; a loop that has ended in order is not missed."""
        try:
            while True:
                self._beats[loop] = self._clock()
                told()
                await asyncio.sleep(BEAT_S)
        finally:
            self._beats.pop(loop, None)

    def health(self) -> dict[str, str]:
        """Loops that hang, and for how long; empty: alive."""
        now = self._clock()
        return {loop: f"no beat for {now - at:.0f} s" for loop, at in list(self._beats.items()) if now - at > WEDGED_S}

    def readiness(self) -> dict[str, str]:
        """What keeps the process from its work; empty: ready."""
        reasons = {name: check() for name, check in list(self._checks.items())}
        return self.health() | {name: reason for name, reason in reasons.items() if reason is not None}


probes = Probes()  # of this process


def app(of: Probes = probes) -> Callable[..., Iterable[bytes]]:
    """The pages as a WSGI application."""
    metrics_page: Any = make_wsgi_app()
    pages = {"/healthz": of.health, "/readyz": of.readiness}

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is None:
            return metrics_page(environ, start_response)
        wrong = page()
        start_response("503 Service Unavailable" if wrong else "200 OK", [("Content-Type", "application/json")])
        status = {"status": "wrong", **wrong} if wrong else {"status": "ok"}
        return [json.dumps(status | {"pid": os.getpid()}).encode()]

    return answer


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A probe each second is no news."""


def listen(host: str, port: int, of: Probes = probes) -> WSGIServer:
    """A server on ``host:port``, not serving yet (``serve_forever``).

    Raises:
        OSError: the port cannot be had.
    """
    return make_server(host, port, app(of), ThreadingWSGIServer, handler_class=_Silent)
