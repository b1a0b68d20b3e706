"""The effective settings for a person to read: each with its place, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from vision_stream.config import Loaded
from vision_stream.config.layers import get
from vision_stream.config.problems import Path, Place, dotted
from vision_stream.config.schema import leaves
from vision_stream.redaction import MASK, redact_url

URLS = {"source", "url", "base_url"}  # fields whose secrets are only in the URL's user and query


@dataclass(frozen=True)
class Effective:
    path: Path
    value: Any  # plain data for JSON, secrets masked
    place: Place

    @property
    def name(self) -> str:
        return dotted(self.path)


def effective(loaded: Loaded) -> Iterator[Effective]:
    """Every setting, in the order of the settings; a list of keys or cameras setting by setting."""
    for path in leaves():
        value = get(loaded.settings, path)
        for inner, shown in _items(path, value):
            yield Effective(inner, shown, loaded.source_of(inner))


def _items(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
        for index, item in enumerate(value):
            yield from _items((*path, index), item)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _items((*path, name), getattr(value, name))
    else:
        yield path, _plain(str(path[-1]), value)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return redact_url(value.get_secret_value()) if name in URLS else MASK
    if isinstance(value, tuple):
        return [_plain(name, item) for item in value]
    return redact_url(value) if name in URLS and isinstance(value, str) else value
