"""Whether a key works: one cheap call that shows a picture and asks for JSON.

The picture is one plain colour, drawn by lot; naming it shows that the endpoint sees pictures, where some accept and
ignore them. An endpoint that refuses the form of the answer, or the picture, is asked again without.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vision_stream.llm.chat import MODES, Mode, Request
from vision_stream.llm.client import VisionClient
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.prompts import Prompt
from vision_stream.redaction import redact_url
from vision_stream.settings import KeySettings

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "yellow": (230, 220, 20)}
SIZE = 64  # pixels. Smaller: some endpoints refuse the picture. Larger: more tokens.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": list(COLOURS)}},
    "required": ["colour"],
    "additionalProperties": False,
}
SYSTEM = 'Answer with one JSON object and nothing else: {"colour": "red", "green", "blue" or "yellow"}.'
QUESTION = 'Which colour has the picture? Answer as {"colour": ...}.'

Seen = Literal["yes", "no", "unknown"]


class Finding(Struct, frozen=True, kw_only=True):
    """What was found out about one key."""

    id: str
    endpoint: str
    model: str
    vision: Seen = "unknown"
    json: Mode | Literal["unknown"] = "unknown"  # the strictest form of answer it accepts
    ok: bool = False
    words: str = ""  # the provider's own, where it refused
    latency_s: float = 0.0


async def verify(
    keys: Sequence[KeySettings], client: VisionClient, *, timeout_s: float, rng: random.Random | None = None
) -> list[Finding]:
    """All keys at once, in their order; raises nothing that a provider could cause."""
    rng = rng or random.Random()
    colours = [rng.choice(list(COLOURS)) for _ in keys]
    checks = [_verify(key, client, timeout_s, name) for key, name in zip(keys, colours, strict=True)]
    return list(await asyncio.gather(*checks))


async def _verify(key: KeySettings, client: VisionClient, timeout_s: float, colour: str) -> Finding:
    if not key.enabled:
        return _finding(key, words="not enabled")
    picture: bytes | None = plain_png(COLOURS[colour])
    modes = list(MODES)
    while True:
        request = _request(key, picture, modes[0])
        began = time.monotonic()
        try:
            answer = await client.complete(key, request, timeout_s=timeout_s)
        except CallFailed as failure:
            if failure.kind == "unsupported" and len(modes) > 1:
                modes.pop(0)
            elif failure.kind == "bad_request" and picture is not None:
                picture = None
            else:
                return _finding(key, words=failure.what)
            continue
        vision = _vision(answer.content, colour) if picture is not None else "no"
        words = {"yes": "", "no": "it does not see pictures", "unknown": "its answer is not understood"}[vision]
        return _finding(
            key, ok=vision == "yes", vision=vision, json=modes[0], words=words, latency_s=time.monotonic() - began
        )


def _request(key: KeySettings, picture: bytes | None, mode: Mode) -> Request:
    return Request(
        prompt=Prompt(SYSTEM, QUESTION, picture),
        model=key.model,
        mode=mode,
        max_output_tokens=64,
        schema=SCHEMA,
        schema_name="colour",
    )


def _vision(content: str, colour: str) -> Seen:
    start, end = content.find("{"), content.rfind("}")
    try:
        said = msgspec.json.decode(content[start : end + 1])["colour"]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        return "unknown"
    return "yes" if said == colour else "no"


def _finding(key: KeySettings, **found: Any) -> Finding:
    return Finding(id=key.id, endpoint=redact_url(key.base_url), model=key.model, **found)


def plain_png(rgb: tuple[int, int, int], size: int = SIZE) -> bytes:
    """A square of one colour.

    >>> plain_png((255, 0, 0))[:4]
    b'\\x89PNG'
    """
    rows = (b"\0" + bytes(rgb) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
