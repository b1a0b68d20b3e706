"""An answer's text to a verdict, strictly: what does not fit is refused, and never read as "none"."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct

from vision_stream.errors import VisionStreamError
from vision_stream.messages import RiskLevel, Share
from vision_stream.redaction import mask

MAX_DESCRIPTION = 1000
MAX_TYPES = 20
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
_TYPE = re.compile(r"[^a-z0-9]+")


class AnswerMisfit(VisionStreamError):
    """The answer is no verdict; says why, without repeating what the model wrote."""


class Verdict(Struct, frozen=True, kw_only=True):
    risk_level: RiskLevel
    confidence: Share
    risk_types: tuple[str, ...]
    description: str
    trigger_object_ids: tuple[int, ...]
    unknown_ids: int = 0  # ids the model named that the group does not have


class _Answer(Struct, frozen=True, kw_only=True):
    risk_level: RiskLevel
    confidence: Share
    risk_types: list[str]
    description: str
    trigger_object_ids: list[int]


_decoder = msgspec.json.Decoder(_Answer)


def parse_verdict(content: str, members: Collection[int]) -> Verdict:
    """Read an answer about a group whose objects have the ids ``members``.

    All five fields must be there and in bounds; other fields are ignored, a long description is cut, and ids that
    are not the group's are dropped and counted. One fenced block or one object within prose is accepted, because
    endpoints without JSON mode write so; two objects are not: nobody could say which one counts.

    Raises:
        AnswerMisfit: it is no verdict.
    """
    try:
        answer = _decoder.decode(_json_of(content))
    except msgspec.ValidationError as wrong:
        raise AnswerMisfit(f"the answer does not fit the schema: {mask(str(wrong))}") from None
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise AnswerMisfit("the answer is not JSON") from wrong
    known = tuple(dict.fromkeys(number for number in answer.trigger_object_ids if number in members))
    return Verdict(
        risk_level=answer.risk_level,
        confidence=answer.confidence,
        risk_types=tuple(dict.fromkeys(_types(answer.risk_types)))[:MAX_TYPES],
        description=mask(answer.description.strip())[:MAX_DESCRIPTION],
        trigger_object_ids=known,
        unknown_ids=sum(1 for number in answer.trigger_object_ids if number not in members),
    )


def _types(names: list[str]) -> list[str]:
    """As snake_case words of at most 60 characters, so that alerts of one kind are one kind."""
    words = (_TYPE.sub("_", mask(name).lower()).strip("_")[:60] for name in names)
    return [name for name in words if name]


def _json_of(content: str) -> str:
    text = content.strip()
    if text.startswith("{"):
        return text
    fenced: list[Any] = _FENCED.findall(text)
    if len(fenced) == 1:
        return fenced[0]
    if len(fenced) > 1:
        raise AnswerMisfit("the answer holds more than one JSON object")
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
