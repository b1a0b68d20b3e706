"""A request to a verdict: by the truth in a simulated picture's pixels, else by a hash of the text.

The hash makes load tests repeatable: the same text is always judged the same.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from vision_stream.pictures import BadPicture, check

PEOPLE = frozenset({"person", "pedestrian", "worker", "cyclist", "bicycle"})
SHARES = ((0.60, "none"), (0.85, "low"), (0.95, "medium"), (1.00, "high"))  # of the hashes
COLOUR = '"colour"'  # in the text of a check whether pictures are seen
_OBJECT = re.compile(r'\{"id":\s*(\d+),\s*"label":\s*"([^"]{1,100})"')


@dataclass(frozen=True)
class Asked:
    """What a chat completion request holds that matters for the judgement."""

    text: str
    pictures: tuple[bytes, ...]  # encoded, as sent
    picture_error: str = ""


def read_messages(messages: Sequence[Any]) -> Asked:
    """Texts and pictures of OpenAI's messages: a content is a string, or a list of parts."""
    texts: list[str] = []
    pictures: list[bytes] = []
    error = ""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        parts: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
        for part in parts:
            if part.get("type") == "text":
                texts.append(str(part.get("text", "")))
            elif part.get("type") == "image_url":
                try:
                    pictures.append(_picture(part["image_url"]["url"]))
                except (KeyError, TypeError, ValueError, binascii.Error) as wrong:
                    error = f"Invalid image: {wrong}"
    return Asked("\n".join(texts), tuple(pictures), error)


def _picture(url: str) -> bytes:
    head, _, data = url.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64")):
        raise ValueError("only data:image/...;base64 URLs are accepted")
    return base64.b64decode(data, validate=True)


def judge(asked: Asked, *, look: bool) -> dict[str, Any]:
    """The verdict as plain values: risk_level, confidence, risk_types, description, trigger_object_ids."""
    level = _by_truth(asked.pictures[-1]) if look and asked.pictures else None
    basis = "as the picture shows" if level else "by the text alone"
    level = level or _by_hash(asked.text)
    objects = [(int(number), label) for number, label in _OBJECT.findall(asked.text)]
    if level == "none":
        return _verdict(level, 0.9, (), f"Nothing endangers anyone here, {basis}.", ())
    kind = _risk_type({label for _, label in objects})
    return _verdict(level, 0.85, (kind,), f"{kind.replace('_', ' ').capitalize()}, {basis}.", [n for n, _ in objects])


def _verdict(
    level: str, confidence: float, kinds: Sequence[str], description: str, ids: Sequence[int]
) -> dict[str, Any]:
    return {
        "risk_level": level,
        "confidence": confidence,
        "risk_types": list(kinds),
        "description": description,
        "trigger_object_ids": list(ids),
    }


def lie(verdict: dict[str, Any]) -> dict[str, Any]:
    """The opposite, sworn to, about objects that nobody asked about.

    >>> lie(_verdict("none", 0.9, (), "Nothing.", ()))["risk_level"]
    'high'
    """
    level = {"none": "high", "low": "medium", "medium": "low", "high": "none"}[verdict["risk_level"]]
    return _verdict(level, 1.0, ("invented",), "As I was not asked to say.", (-1, 10**9, 987_654_321))


def _risk_type(labels: set[str]) -> str:
    people, vehicles = labels & PEOPLE, labels - PEOPLE
    if people and vehicles:
        return "vehicle_pedestrian_conflict"
    return "person_in_danger_zone" if people else "vehicle_conflict"


def _by_hash(text: str) -> str:
    point = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32
    return next(level for share, level in SHARES if point < share)


def _by_truth(encoded: bytes) -> str | None:
    """The danger in a simulated scene's pixels; None where the picture or the scenes' module cannot be read."""
    read_danger = _reader()
    if read_danger is None:
        return None
    picture = _decoded(encoded)
    return None if picture is None else read_danger(picture)


def _decoded(encoded: bytes) -> Any:
    """BGR; None where it cannot or should not be decoded."""
    import cv2

    try:
        check(encoded)
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except (BadPicture, cv2.error):
        return None


@functools.cache
def _reader() -> Callable[[Any], str] | None:
    try:
        return importlib.import_module("vision_stream.simulators.traffic").read_danger
    except (ImportError, AttributeError):
        return None


def colour(encoded: bytes) -> str:
    """The name of a plain picture's colour: what a check asks that wants to know whether pictures are seen."""
    picture = _decoded(encoded)
    if picture is None:
        return "unknown"
    blue, green, red = (float(channel) > 128 for channel in picture.reshape(-1, 3).mean(axis=0))
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 0): "yellow"}
    return names.get((red, green, blue), "unknown")


def tokens(asked: Asked, answer: str) -> tuple[int, int]:
    """Input and output tokens as an endpoint would bill them: 4 characters a token, 170 and 85 a picture."""
    return len(asked.text) // 4 + 255 * len(asked.pictures), max(1, len(answer) // 4)


def to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
