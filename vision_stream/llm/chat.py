"""OpenAI's chat completion on the wire: our prompt to a request body, a response body to an answer."""

from __future__ import annotations

import functools
from typing import Any, Literal

import msgspec
from msgspec import Struct
from pybase64 import b64encode

from vision_stream.llm.failures import CallFailed
from vision_stream.llm.prompts import VERDICT_SCHEMA, Prompt
from vision_stream.llm.told_limits import SaidLimit
from vision_stream.redaction import mask

Mode = Literal["json_schema", "json_object", "text"]
MODES: tuple[Mode, ...] = ("json_schema", "json_object", "text")  # from the strictest to what every endpoint has
_PNG = b"\x89PNG"
_FACTS = "the facts, in a body's frame \x00"  # no other string of a body holds a NUL


class Request(Struct, frozen=True, kw_only=True):
    prompt: Prompt
    model: str
    mode: Mode = "json_schema"
    max_output_tokens: int = 400
    schema: dict[str, Any] = msgspec.field(default_factory=lambda: VERDICT_SCHEMA)  # of the answer, and its name
    schema_name: str = "verdict"


class Answer(Struct, frozen=True, kw_only=True):
    content: str
    model: str
    finish_reason: str
    input_tokens: int = 0
    output_tokens: int = 0
    limit: SaidLimit | None = None  # of the key's calls, where the endpoint says it


def request_body(request: Request) -> dict[str, Any]:
    """The JSON body of ``POST /chat/completions``."""
    prompt = request.prompt
    parts: list[dict[str, Any]] = [{"type": "text", "text": prompt.facts}]
    if prompt.picture is not None:
        parts.append({"type": "image_url", "image_url": {"url": _data_url(prompt.picture), "detail": "auto"}})
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": parts}],
        "max_tokens": request.max_output_tokens,
        "temperature": 0,
    }
    if request.mode == "json_schema":
        schema = {"name": request.schema_name, "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.mode == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


def encoded_body(request: Request) -> bytes:
    """``request_body`` as JSON. Of a call's 45 KB all but the facts and the picture are put together once."""
    prompt = request.prompt
    if request.schema is not VERDICT_SCHEMA:
        return msgspec.json.encode(request_body(request))
    kind = None if prompt.picture is None else _kind(prompt.picture)
    before, between, after = _frame(prompt.system, request.model, request.mode, request.max_output_tokens, kind)
    facts = msgspec.json.encode(prompt.facts)
    if prompt.picture is None:
        return b"".join((before, facts, after))
    return b"".join((before, facts, between, b64encode(prompt.picture), after))


@functools.lru_cache(maxsize=256)
def _frame(system: str, model: str, mode: Mode, max_output_tokens: int, kind: str | None) -> tuple[bytes, bytes, bytes]:
    """A body around its facts and its picture's base64, which JSON writes as it is."""
    picture = None if kind is None else _PNG if kind == "png" else b""
    request = Request(
        prompt=Prompt(system, _FACTS, picture), model=model, mode=mode, max_output_tokens=max_output_tokens
    )
    before, _, after = msgspec.json.encode(request_body(request)).partition(msgspec.json.encode(_FACTS))
    if picture is None:
        return before, b"", after
    between, base64_, after = after.partition(b";base64,")
    return before, between + base64_, after.removeprefix(b64encode(picture))


def _data_url(picture: bytes) -> str:
    return f"data:image/{_kind(picture)};base64,{b64encode(picture).decode('ascii')}"


def _kind(picture: bytes) -> str:
    return "png" if picture.startswith(_PNG) else "jpeg"


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(Struct):
    choices: list[_Choice]
    model: str = ""
    usage: _Usage | None = None


_decoder = msgspec.json.Decoder(_Completion)


def read_completion(body: bytes, limit: SaidLimit | None = None) -> Answer:
    """The answer in a response with status 200.

    Raises:
        CallFailed: ``unreadable``: it is no chat completion.
    """
    try:
        completion = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CallFailed("unreadable", "200, but the body is no chat completion", status=200) from None
    if not completion.choices:
        raise CallFailed("unreadable", "200, but without a choice", status=200)
    choice, usage = completion.choices[0], completion.usage or _Usage()
    refused = choice.message.refusal or choice.finish_reason == "content_filter"
    return Answer(
        content=choice.message.content or "",
        model=mask(completion.model)[:100],  # an endpoint may say anything, the key too
        finish_reason="content_filter" if refused else choice.finish_reason or "stop",
        input_tokens=max(0, usage.prompt_tokens),
        output_tokens=max(0, usage.completion_tokens),
        limit=limit,
    )
