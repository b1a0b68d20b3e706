"""What ``settings`` declares, as the readers of files and environment need it: leaves, their names, what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from vision_stream.config.problems import Path
from vision_stream.settings import Settings

PREFIX = "ALGO_"


@dataclass(frozen=True)
class Leaf:
    """One setting, or an item of a list of them."""

    path: Path
    type: Any  # without Annotated and Optional
    optional: bool
    field: FieldInfo

    @property
    def variable(self) -> str:
        return PREFIX + "_".join(str(step) for step in self.path).upper()

    @property
    def item(self) -> Any:
        """The type of the items, where it is a list."""
        return get_args(self.type)[0] if get_origin(self.type) is tuple else None

    @property
    def model(self) -> type[BaseModel] | None:
        """The model, where it is a section, or a list's item that is one."""
        return self.type if is_model(self.type) else None

    @property
    def secret(self) -> bool:
        """Whether its value, or something inside it, must not be shown."""
        return _holds_secret(self.type)

    @property
    def allowed(self) -> str:
        return describe(self.type, self.field.metadata) + (", or nothing" if self.optional else "")


@cache
def leaves() -> dict[Path, Leaf]:
    """Every setting by its path, in the order of the settings; a list is one leaf."""
    return {leaf.path: leaf for leaf in _walk(Settings, ())}


@cache
def variables() -> dict[str, Leaf]:
    """Every setting by its environment name."""
    return {leaf.variable: leaf for leaf in leaves().values()}


def find(path: Path) -> Leaf | None:
    """The section, setting or item at ``path``, also inside of lists; None where there is none."""
    model: Any = Settings
    leaf: Leaf | None = None
    for depth, step in enumerate(path):
        here = path[: depth + 1]
        if isinstance(step, int):
            leaf = _leaf(here, leaf.item, FieldInfo()) if leaf and leaf.item else None
        else:
            field = model.model_fields.get(step) if model else None
            leaf = _leaf(here, field.annotation, field) if field else None
        if leaf is None:
            return None
        model = leaf.model
    return leaf


def children(path: Path) -> tuple[str, ...]:
    """The names allowed below the section at ``path``."""
    leaf = find(path)
    model = Settings if not path else leaf.model if leaf else None
    return tuple(model.model_fields) if model else ()


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def describe(kind: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """What a value of type ``kind`` may be, in words."""
    if get_origin(kind) is Annotated:
        kind, metadata = _bare(kind)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list; each item " + describe(get_args(kind)[0])
    if is_model(kind):
        return "a mapping with " + ", ".join(kind.model_fields)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", SecretStr: "text"}
    return ", ".join([words.get(kind, str(kind)), *_bounds(metadata)])


def _walk(model: type[BaseModel], path: Path) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        leaf = _leaf((*path, name), field.annotation, field)
        if leaf.model:
            yield from _walk(leaf.model, leaf.path)
        else:
            yield leaf


def _leaf(path: Path, annotation: Any, field: FieldInfo) -> Leaf:
    bare, metadata = _bare(annotation)
    if metadata:
        field = FieldInfo.from_annotation(annotation)
    choices = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    kinds = [choice for choice in choices if choice is not NoneType]
    return Leaf(path, kinds[0], optional=NoneType in choices, field=field)


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        kind, *metadata = get_args(annotation)
        fields = [part.metadata if isinstance(part, FieldInfo) else [part] for part in metadata]
        return kind, tuple(part for group in fields for part in group)
    return annotation, ()


def _holds_secret(kind: Any) -> bool:
    kind, _ = _bare(kind)
    if kind is SecretStr:
        return True
    if is_model(kind):
        return any(_holds_secret(field.annotation) for field in kind.model_fields.values())
    return any(_holds_secret(part) for part in get_args(kind))


def _bounds(metadata: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    def bound(name: str) -> Any:
        return next((value for part in metadata if (value := getattr(part, name, None)) is not None), None)

    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{word} {bound(name)}" for name, word in words.items() if bound(name) is not None]
    if limits:
        yield " and ".join(limits)
    if pattern := bound("pattern"):
        yield PATTERNS.get(pattern, f"matching {pattern}")
    if shortest := bound("min_length"):
        yield "not empty" if shortest == 1 else f"at least {shortest} characters"
    if longest := bound("max_length"):
        yield f"at most {longest} characters"


PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "letters, digits, `_`, `.` and `-`, the first a letter or digit",
    r"^https?://[^\s@/]+(/\S*)?$": "an http:// or https:// URL without user and password",
    r"^(auto|cpu|mps|cuda(:\d{1,2})?)$": "auto, cpu, cuda, cuda:N or mps",
    r"^[0-9A-Fa-f]{64}$": "64 hexadecimal digits",
    r"^\d+(ms|s|m)$": "a number with ms, s or m, as 15s",
    r"^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$": "host:port, without a scheme",
}
