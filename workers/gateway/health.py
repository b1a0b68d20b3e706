"""``/healthz`` (the loop answers), ``/readyz`` (what is missing) and ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from vision_stream.messages import encode

Check = Callable[[], str | None]  # why not ready; None: ready


class Ready(Struct, frozen=True, kw_only=True):
    ready: bool
    reasons: dict[str, str]  # what keeps the gateway from doing its job
    degraded: dict[str, str] = {}  # what it does without for now


class Readiness:
    """Named checks that answer at once, from what is known already."""

    def __init__(self) -> None:
        self._required: dict[str, Check] = {}
        self._optional: dict[str, Check] = {}

    def require(self, name: str, check: Check) -> None:
        self._required[name] = check

    def watch(self, name: str, check: Check) -> None:
        """A reason of this one is shown and does not make the gateway unready."""
        self._optional[name] = check

    def read(self) -> Ready:
        reasons = _reasons(self._required)
        return Ready(ready=not reasons, reasons=reasons, degraded=_reasons(self._optional))


def _reasons(checks: dict[str, Check]) -> dict[str, str]:
    return {name: reason for name, check in checks.items() if (reason := check()) is not None}


def routes(readiness: Readiness) -> list[web.RouteDef]:
    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, headers=NO_STORE)

    async def readyz(request: web.Request) -> web.Response:
        answer = readiness.read()
        return web.Response(
            body=encode(answer),
            status=200 if answer.ready else 503,
            content_type="application/json",
            headers=NO_STORE,
        )

    async def metrics_page(request: web.Request) -> web.Response:
        # In a thread: the cameras of one process have thousands of series, which take longer than a browser may wait.
        page = await asyncio.to_thread(generate_latest)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST, **NO_STORE})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics_page)]


NO_STORE = {"Cache-Control": "no-store"}
