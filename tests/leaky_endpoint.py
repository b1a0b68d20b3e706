"""An LLM endpoint that gives away the keys it is called with: in refusals, redirects, error pages and answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote

from aiohttp import web

Answer = Callable[[str], web.StreamResponse]
VERDICT = {
    "risk_level": "high",
    "confidence": 0.9,
    "risk_types": ["pedestrian_conflict"],
    "trigger_object_ids": [],
}


def refused(key: str) -> web.Response:
    error = {"message": f"Incorrect API key provided: {key}. Sent was: Authorization: Bearer {key}", "code": key}
    return web.json_response({"error": error}, status=401)


def elsewhere(key: str) -> web.Response:
    return web.Response(
        status=307, headers={"Location": f"http://127.0.0.1:9/?api_key={quote(key, safe='')}"}, text=key
    )


def broken(key: str) -> web.Response:
    return web.Response(status=500, text=f"<html><pre>Traceback: headers={{'Authorization': 'Bearer {key}'}}</pre>")


def too_many(key: str) -> web.Response:
    """A page in which the key lies across the end of what is kept of an error."""
    return web.Response(status=429, headers={"Retry-After": "1"}, text="." * 290 + key)


def misfit(key: str) -> web.Response:
    return _completion({**VERDICT, "risk_level": key, "description": key}, model=key)


def lying(key: str) -> web.Response:
    return _completion({**VERDICT, "description": f"The key is {key}.", "risk_types": [key]}, model=key)


def _completion(verdict: Mapping[str, object], *, model: str) -> web.Response:
    choice = {"message": {"content": json.dumps(verdict)}, "finish_reason": "stop"}
    return web.json_response({"model": model, "choices": [choice], "usage": {"prompt_tokens": 9}})


BEHAVIOURS: dict[str, Answer] = {
    answer.__name__: answer for answer in (refused, elsewhere, broken, too_many, misfit, lying)
}


class LeakyEndpoint:
    """``keys``: by the name of a behaviour, the key that is answered so."""

    def __init__(self, keys: Mapping[str, str], base_url: str) -> None:
        self.base_url = base_url
        self.calls: Counter[str] = Counter()
        self._behaviours = {f"Bearer {key}": name for name, key in keys.items()}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        sent = request.headers.get("Authorization", "")
        name = self._behaviours.get(sent, "refused")
        self.calls[name] += 1
        return BEHAVIOURS[name](sent.removeprefix("Bearer "))


@asynccontextmanager
async def leaky_endpoint(keys: Mapping[str, str], port: int) -> AsyncIterator[LeakyEndpoint]:
    """It runs on loopback until the block ends."""
    endpoint = LeakyEndpoint(keys, f"http://127.0.0.1:{port}/v1")
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", endpoint.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield endpoint
    finally:
        await runner.cleanup()
