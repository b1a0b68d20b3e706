"""One origin of values each, put together by pydantic-settings: the first layer that has a setting wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vision_stream.config.problems import Path, Place
from vision_stream.config.schema import leaves
from vision_stream.settings import Settings

COMMAND_LINE = Place("command line")
DEFAULT = Place("default")


@dataclass(frozen=True)
class Layer:
    """Nested values of one origin; ``written`` has the text before ``${NAME}`` was replaced."""

    data: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold secrets
    places: Mapping[Path, Place] = field(default_factory=dict)
    written: Mapping[Path, str] = field(default_factory=dict)


def of_values(values: Mapping[Path, Any], places: Mapping[Path, Place]) -> Layer:
    """A layer from settings by path."""
    data: dict[str, Any] = {}
    for path, value in values.items():
        put(data, path, value)
    return Layer(data, places)


def of_overrides(overrides: Mapping[str, Any]) -> Layer:
    """A layer from what a command line gives: nested, or with dotted names; None is what was not given."""
    data: dict[str, Any] = {}
    places: dict[Path, Place] = {}
    for path, value in _flat(overrides, ()):
        put(data, path, value)
        places[path] = COMMAND_LINE
    return Layer(data, places)


def validate(layers: Sequence[Layer]) -> Settings:
    """The settings that the layers give together.

    Raises:
        pydantic.ValidationError: its locations start with ``settings``.
    """

    # The defaults too, as a topic with only its name given still keeps that topic's own retention.
    all_layers = (*layers, Layer(Settings().model_dump()))

    class Reader(BaseSettings):
        model_config = SettingsConfigDict(hide_input_in_errors=True)
        settings: Settings

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *args: Any, **kwargs: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_Source(settings_cls, layer) for layer in all_layers)

    return Reader().settings  # pyright: ignore[reportCallIssue] - its sources give it


def owner(path: Path, layers: Sequence[Layer]) -> Layer | None:
    """The layer whose value counts for the setting at ``path``, or around it."""
    leaf = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in leaves()), path)
    return next((layer for layer in layers if leaf in layer.places), None)


def place_of(path: Path, layers: Sequence[Layer]) -> Place:
    """Where the value at ``path`` was written, or what is closest around it."""
    mine = owner(path, layers)
    for end in range(len(path), 0, -1):
        for layer in [mine] if mine else layers:
            if path[:end] in layer.places:
                return layer.places[path[:end]]
    return DEFAULT


def source_of(path: Path, layers: Sequence[Layer]) -> Place:
    """Where the effective value of the setting, or of the item of a list, at ``path`` comes from."""
    mine = owner(path, layers)
    if mine is None or (path not in mine.places and get(mine.data, path) is None):
        return DEFAULT
    return place_of(path, layers)


def get(data: Any, path: Path) -> Any:
    """What lies at ``path`` of nested values; None where nothing does."""
    for step in path:
        if isinstance(step, int):
            data = data[step] if isinstance(data, (list, tuple)) and step < len(data) else None
        elif isinstance(data, BaseModel):
            data = getattr(data, step, None)
        else:
            data = data.get(step) if isinstance(data, Mapping) else None
    return data


def put(data: dict[Any, Any], path: Path, value: Any) -> None:
    """Set what lies at ``path``, with the mappings around it."""
    *parents, last = path
    for step in parents:
        below = data.setdefault(step, {})
        if not isinstance(below, dict):
            below = data[step] = {}
        data = below
    data[last] = value


def _flat(values: Mapping[str, Any], path: Path) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    for name, value in values.items():
        here = (*path, *str(name).split("."))
        if isinstance(value, BaseModel) and here not in leaves():
            value = {field: getattr(value, field) for field in type(value).model_fields}
        if isinstance(value, Mapping) and here not in leaves():
            found += _flat(value, here)
        elif value is not None:
            found.append((here, value))
    return found


class _Source(PydanticBaseSettingsSource):
    """A layer as pydantic-settings wants it."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._data = layer.data

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._data, field_name, False

    def __call__(self) -> dict[str, Any]:
        return {"settings": dict(self._data)}
