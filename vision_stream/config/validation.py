"""What pydantic found wrong, in words: where it was written, what was found, what is allowed and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import SecretStr, ValidationError

from vision_stream.config import schema
from vision_stream.config.files import prefix_of
from vision_stream.config.layers import DEFAULT, Layer, get, owner, place_of, source_of
from vision_stream.config.problems import Path, Place, Problem, dotted
from vision_stream.settings import Settings

LONGEST_FOUND = 60  # characters of a value
SECRET_LENGTH = 16  # characters. Shorter: hides ordinary values. Longer: shows the keys of some providers


def explain(error: ValidationError, layers: Sequence[Layer]) -> list[Problem]:
    """One problem for each of pydantic's errors; a list with a wrong item is not also too short."""
    details = error.errors(include_url=False)
    around = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    inner = [detail for detail in details if detail["loc"] not in around]
    return [_problem(detail["type"], detail["loc"][1:], detail.get("ctx", {}), layers) for detail in inner]


def _problem(kind: str, path: Path, context: dict[str, Any], layers: Sequence[Layer]) -> Problem:
    if kind == "contradiction":
        return _contradiction(path, context, layers)
    if kind == "extra_forbidden":
        return _unknown(path, layers)
    place, leaf = place_of(path, layers), schema.find(path)
    allowed = leaf.allowed if leaf else ""
    field = dotted(path[len(prefix_of(place)) :])
    if kind == "missing":
        return Problem(place, field, "nothing", allowed, f"add `{path[-1]}: ...`")
    found = shown(path, layers)
    return Problem(place, field, found, allowed, _remedy(kind, found, leaf, place))


def _contradiction(path: Path, context: dict[str, Any], layers: Sequence[Layer]) -> Problem:
    paths = [(*path, *inner) for inner in context["paths"]]
    inner = next((inner for inner in paths if source_of(inner, layers) != DEFAULT), paths[0])
    place = place_of(inner, layers)
    field = dotted(inner[len(prefix_of(place)) :])
    return Problem(place, field, context["found"], context["allowed"], context["remedy"])


def _unknown(path: Path, layers: Sequence[Layer]) -> Problem:
    place = place_of(path, layers)
    known = list(schema.children(path[:-1]))
    if path[:2] == ("llm", "keys"):
        known.append("api_key_file")
    name = str(path[-1])
    near = get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    remedy = f"write {near[0]}" if near else "remove it"
    return Problem(place, dotted(path[len(prefix_of(place)) :]), "an unknown name", ", ".join(known), remedy)


def shown(path: Path, layers: Sequence[Layer]) -> str:
    """What was written at ``path``, as far as it may be shown."""
    layer = owner(path, layers)
    if layer is None:
        return "nothing"
    value = layer.written.get(path, get(layer.data, path))
    leaf = schema.find(path)
    kind = {type(None): "nothing", dict: "a mapping", list: "a list", tuple: "a list"}.get(type(value))
    if kind:
        return kind
    if leaf is None or leaf.secret or leaf.model or isinstance(value, SecretStr):
        return "text (not shown)" if isinstance(value, (str, SecretStr)) else "a number, or true or false"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if looks_like_a_secret(text):
        return "text (not shown)"
    return text if len(text) <= LONGEST_FOUND else text[: LONGEST_FOUND - 3] + "..."


def looks_like_a_secret(text: str) -> bool:
    """Whether ``text`` may be a key or password on a line that is not its own: one long word of letters and digits.

    >>> [looks_like_a_secret(text) for text in ("AbC-9f2kQ07xTz31m", "least-loaded", "./models/site-11n.onnx")]
    [True, False, False]
    """
    is_place = "://" in text or text.startswith(("/", "./", "../", "~"))
    letters, digits = any(char.isalpha() for char in text), any(char.isdigit() for char in text)
    return len(text) >= SECRET_LENGTH and not any(map(str.isspace, text)) and letters and digits and not is_place


def _remedy(kind: str, found: str, leaf: schema.Leaf | None, place: Place) -> str:
    drop = "unset it" if place.variable else "remove it"
    if leaf is None:
        return f"correct it, or {drop}"
    if kind == "literal_error":
        choices = {str(choice).lower(): str(choice) for choice in get_args(leaf.type)}
        near = get_close_matches(found.lower(), choices, n=1)
        return f"write {choices[near[0]]}" if near else "write one of these"
    if kind == "string_type" and found[:1].isdigit():
        return "put it in quotes"
    if leaf.path in schema.leaves():
        return f"correct it, or {drop} for the default{_default(get(Settings(), leaf.path))}"
    if leaf.field.is_required():
        return "correct it"
    return f"correct it, or {drop} for the default{_default(leaf.field.default)}"


def _default(value: Any) -> str:
    plain = isinstance(value, (int, float, str)) and value != ""
    return f" ({str(value).lower() if isinstance(value, bool) else value})" if plain else ""
