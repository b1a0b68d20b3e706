"""How a call fails, by kind: the kind decides what happens to the key and to the task.

unauthorized    401, 403: the key is disabled
rate_limited    429: the key cools for what the provider says
server          500: the key cools, another is tried; a second key that says so blames the request
unavailable     502, 503, 504, 529, 408: the same, but never the request's fault
timeout, connection   no answer, or not all of it
misconfigured   404, 405, a redirect: this key's base_url or model is wrong; the key cools
unreadable      200, and no chat completion: the key cools
unsupported     400 about response_format: the key is asked in a plainer way
bad_request     other 4xx: the task fails, the key is innocent
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from vision_stream.errors import VisionStreamError
from vision_stream.llm.retry_after import retry_after
from vision_stream.redaction import mask

FailureKind = Literal[
    "unauthorized",
    "rate_limited",
    "server",
    "unavailable",
    "timeout",
    "connection",
    "misconfigured",
    "unreadable",
    "unsupported",
    "bad_request",
]
UNAVAILABLE = frozenset({408, 502, 503, 504, 529})
MAX_WORDS = 300  # characters of a provider's own words in a reason


class CallFailed(VisionStreamError):
    """One LLM call failed; the message is for the operator and holds no secret."""

    def __init__(
        self, kind: FailureKind, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(mask(message)[:MAX_WORDS])
        self.kind: FailureKind = kind
        self.status = status
        self.retry_after = retry_after


def from_status(status: int, headers: Mapping[str, str], body: bytes, *, now: float, secret: str) -> CallFailed:
    """What an answer other than 200 means, without ``secret`` should it repeat that. ``now``: epoch seconds."""
    words = _words(body).replace(secret, "***") if secret else _words(body)
    kind = kind_of(status, words)
    said = f"{status} {words}".strip()
    if 300 <= status < 400:
        said = f"{status} redirect, not followed: the key would go elsewhere"
    wait = retry_after(headers, now) if kind in ("rate_limited", "unavailable") else None
    return CallFailed(kind, said, status=status, retry_after=wait)


def kind_of(status: int, words: str) -> FailureKind:
    """The kind of an answer other than 200, from its status and the provider's words."""
    if status in (401, 403) or (status == 400 and _about_the_key(words)):
        return "unauthorized"
    if status == 429:
        return "rate_limited"
    if status in UNAVAILABLE:
        return "unavailable"
    if status >= 500:
        return "server"
    if 300 <= status < 400 or status in (404, 405):
        return "misconfigured"
    if status in (400, 422) and _about_the_format(words):
        return "unsupported"
    return "bad_request" if status >= 400 else "unreadable"


def _about_the_key(words: str) -> bool:
    lowered = words.lower()
    return "api key not valid" in lowered or "invalid api key" in lowered or "invalid_api_key" in lowered


def _about_the_format(words: str) -> bool:
    lowered = words.lower()
    return any(name in lowered for name in ("response_format", "json_schema", "json_object", "structured output"))


def _words(body: bytes) -> str:
    """The provider's own words: ``error.message`` of the usual shapes, else the start of the text."""
    try:
        value = msgspec.json.decode(body)
        error = value.get("error", value) if isinstance(value, dict) else value
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
        return " ".join(str(text or "").split())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return " ".join(body.decode(errors="replace").split())  # cut when it is masked: a key may lie across the end
