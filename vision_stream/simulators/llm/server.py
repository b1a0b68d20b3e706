"""The HTTP of the LLM simulator.

POST /v1/chat/completions   as OpenAI's (also without /v1)
GET  /v1/models             the models it answers for
POST /control               a ``Fault`` as JSON; {"fault": null} ends all
GET  /calls[?since=EPOCH]   the call log
"""

from __future__ import annotations

import asyncio
import random
import time
from email.utils import formatdate
from typing import Any, Self

import msgspec
import structlog
from aiohttp import web

from vision_stream.simulators.llm import judgement, schema
from vision_stream.simulators.llm.arrivals import ListeningSocket
from vision_stream.simulators.llm.calls import Call, CallLog
from vision_stream.simulators.llm.faults import Fault, Faults
from vision_stream.simulators.llm.options import SimulatorOptions
from vision_stream.simulators.llm.strict_limits import StrictLimits

MAX_BODY = 20 * 2**20
NEVER_S = 3600.0  # longer than any client waits
ERRORS = {
    "400": ("invalid_request_error", "invalid_value", "The request was refused on demand."),
    "401": ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "403": ("permission_error", "insufficient_permissions", "This key may not use this model."),
    "429": ("requests", "rate_limit_exceeded", "Rate limit reached."),
    "500": ("server_error", "internal_error", "The server had an error while processing your request."),
    "503": ("server_error", "overloaded", "The engine is currently overloaded."),
}

_log = structlog.get_logger(__name__)
_body_decoder = msgspec.json.Decoder(dict[str, Any])


class LLMSimulator:
    """``async with LLMSimulator(options) as sim``; ``sim.base_url`` is what a client is given."""

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self.log = CallLog(self.options.calls_kept, self.options.call_log)
        self._rng = random.Random(self.options.seed)
        self._faults = Faults(self._rng)
        self._keys = {key.secret: key for key in self.options.keys}
        self._limits = {key.id: StrictLimits(key) for key in self.options.keys}
        self._runner: web.AppRunner | None = None
        self._socket: ListeningSocket | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._runner = web.AppRunner(
            self.application(), access_log=None, shutdown_timeout=0.2, handler_cancellation=True
        )
        await self._runner.setup()
        self._socket = ListeningSocket(self.options.host, self.options.port)
        await web.SockSite(self._runner, self._socket, backlog=2048).start()
        self._port = self._runner.addresses[0][1]
        _log.info("LLM simulator listens", base_url=self.base_url, keys=len(self.options.keys))

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.log.close()

    @property
    def url(self) -> str:
        return f"http://{self.options.host}:{self._port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def calls(self) -> list[Call]:
        return list(self.log.calls)

    def fault(self, kind: Any, **options: Any) -> None:
        """Switch a fault on; ``None`` switches all off. Options as in ``Fault``."""
        self._faults.set(Fault(fault=kind, **options))

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY)
        for prefix in ("/v1", ""):
            app.router.add_post(f"{prefix}/chat/completions", self._complete)
            app.router.add_get(f"{prefix}/models", self._models)
        app.router.add_post("/control", self._control)
        app.router.add_get("/calls", self._calls)
        return app

    # -- the endpoint

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        record: dict[str, Any] = {"key": "unknown", "at": self._arrived_at(request), "status": 0}
        began = time.monotonic()
        try:
            response = await self._answer(request, record, began - (time.time() - record["at"]))
            record["status"] = record["status"] or response.status
            return response
        finally:
            self.log.add(Call(latency_s=time.monotonic() - began, **record))

    def _arrived_at(self, request: web.Request) -> float:
        if self._socket is None or request.transport is None:
            return time.time()
        return self._socket.arrived_at(request.transport.get_extra_info("peername"))

    async def _answer(self, request: web.Request, record: dict[str, Any], arrived: float) -> web.StreamResponse:
        """``arrived``: on the monotonic clock."""
        key = self._keys.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if key is None:
            return _error("401")
        record["key"] = key.id
        limits = self._limits[key.id]
        if not limits.take_call(arrived):
            return _error("429", limits.refusal(time.monotonic()))
        fault = self._faults.hit(key.id)
        record["fault"] = (fault.fault or "") if fault else ""
        if fault is not None and fault.fault in ERRORS:
            return _error(fault.fault, {**limits.headers(arrived), **_retry_after(fault), **fault.headers})
        return await self._judged(request, record, fault, limits)

    async def _judged(
        self, request: web.Request, record: dict[str, Any], fault: Fault | None, limits: StrictLimits
    ) -> web.StreamResponse:
        try:
            body = _body_decoder.decode(await request.read())
            asked = judgement.read_messages(body["messages"])
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, AttributeError) as wrong:
            return _error("400", message=f"Invalid request: {wrong}")
        wanted = body.get("response_format") or {"type": "text"}
        if asked.picture_error:
            return _error("400", message=asked.picture_error)
        if not self._accepts(wanted.get("type")):
            return _error("400", message=f"Invalid parameter: response_format {wanted.get('type')!r} is not supported")
        now = time.monotonic()
        wants = judgement.tokens(asked, "")[0] + int(body.get("max_tokens") or 0)
        reserved = limits.take_tokens(wants, now)
        if reserved is None:
            return _error("429", limits.refusal(now, wants))
        verdict = await self._verdict(asked)
        if fault is not None and fault.fault == "lying":
            verdict = judgement.lie(verdict)
        record |= {"model": str(body.get("model", "")), "pictures": len(asked.pictures)}
        record["risk_level"] = verdict["risk_level"]
        await self._think(fault)
        answer = _content(verdict, wanted)
        record["input_tokens"], record["output_tokens"] = judgement.tokens(asked, answer)
        limits.correct_tokens(reserved, record["input_tokens"] + record["output_tokens"])
        headers = {**limits.headers(time.monotonic()), **(fault.headers if fault else {})}
        return await _respond(request, _completion(record, answer), headers, fault, record)

    def _accepts(self, kind: Any) -> bool:
        most = {"none": ("text",), "json_object": ("text", "json_object")}
        return kind in most.get(self.options.structured_output, ("text", "json_object", "json_schema"))

    async def _verdict(self, asked: judgement.Asked) -> dict[str, Any]:
        if judgement.COLOUR in asked.text and asked.pictures:  # a check whether pictures are seen, not a scene
            return {"colour": judgement.colour(asked.pictures[-1]), "risk_level": "none"}
        look = self.options.judge == "truth" and bool(asked.pictures)
        if look:  # milliseconds of decoding: not on the loop
            return await asyncio.to_thread(judgement.judge, asked, look=True)
        return judgement.judge(asked, look=False)

    async def _think(self, fault: Fault | None) -> None:
        seconds = self.options.latency.draw(self._rng)
        if fault is not None and fault.fault == "timeout":
            seconds = NEVER_S
        elif fault is not None and fault.fault == "slow":
            seconds = seconds * 10 if fault.delay_s is None else fault.delay_s
        await asyncio.sleep(seconds)

    # -- what a test or an operator asks

    async def _models(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._keys:
            return _error("401")
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simulator"} for name in self.options.models
        ]
        return web.json_response({"object": "list", "data": models})

    async def _control(self, request: web.Request) -> web.Response:
        try:
            self._faults.set(msgspec.json.decode(await request.read(), type=Fault))
        except msgspec.DecodeError as wrong:
            return web.json_response({"error": str(wrong)}, status=400)
        return web.json_response({"faults": msgspec.to_builtins(self._faults.list())})

    async def _calls(self, request: web.Request) -> web.Response:
        try:
            since = float(request.query.get("since", "0"))
        except ValueError:
            return web.json_response({"error": "since is epoch seconds"}, status=400)
        body = {"total": self.log.total, "calls": self.log.since(since)}
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _retry_after(fault: Fault) -> dict[str, str]:
    if fault.retry_after is None:
        return {}
    return {
        "Retry-After": formatdate(time.time() + 2, usegmt=True) if fault.retry_after == "date" else fault.retry_after
    }


def _error(kind: str, headers: dict[str, str] | None = None, *, message: str = "") -> web.Response:
    type_, code, default = ERRORS[kind]
    body = {"error": {"message": message or default, "type": type_, "param": None, "code": code}}
    return web.json_response(body, status=int(kind), headers=headers)


def _content(verdict: dict[str, Any], wanted: dict[str, Any]) -> str:
    if wanted.get("type") == "json_schema":
        verdict = schema.fit(wanted.get("json_schema", {}).get("schema", {}), verdict)
    text = judgement.to_json(verdict)
    return f"Here is my judgement:\n```json\n{text}\n```" if wanted.get("type") == "text" else text


def _completion(record: dict[str, Any], answer: str) -> dict[str, Any]:
    used = {"prompt_tokens": record["input_tokens"], "completion_tokens": record["output_tokens"]}
    return {
        "id": f"chatcmpl-sim-{int(record['at'] * 1e6):x}",
        "object": "chat.completion",
        "created": int(record["at"]),
        "model": record["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
        "usage": used | {"total_tokens": sum(used.values())},
    }


async def _respond(
    request: web.Request, body: dict[str, Any], headers: dict[str, str], fault: Fault | None, record: dict[str, Any]
) -> web.StreamResponse:
    kind = fault.fault if fault else None
    choice = body["choices"][0]
    if kind == "redirect":
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"})
    if kind == "garbage":
        return web.Response(body=b"<html>502 Bad Gateway</html>", content_type="text/html", headers=headers)
    if kind == "wrong_schema":
        choice["message"]["content"] = '{"risk_level": "apocalyptic", "confidence": 7}'
    elif kind == "truncated":
        choice["message"]["content"] = choice["message"]["content"][:20]
        choice["finish_reason"] = "length"
    elif kind == "refused":
        choice["message"] = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
        choice["finish_reason"] = "content_filter"
    payload = msgspec.json.encode(body)
    if kind in ("cut", "trickle"):
        return await _broken(request, payload, kind, record)
    return web.Response(body=payload, content_type="application/json", headers=headers)


async def _broken(request: web.Request, payload: bytes, kind: str, record: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(payload))})
    await response.prepare(request)
    await response.write(payload[: len(payload) // 2])
    if kind == "trickle":
        for byte in payload[len(payload) // 2 : -1]:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.5)
        await asyncio.sleep(NEVER_S)
    if request.transport is not None:
        request.transport.abort()
    record["status"] = -1
    return response
