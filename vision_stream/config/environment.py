"""``ALGO_`` names of the environment and of ``.env`` to settings; unknown ones are problems, with the nearest name.

``NAME_FILE`` names a file that holds the value of a secret. An empty value counts as not set, as compose files and
shells pass it for what is not there; an empty list is ``[]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path as FilePath
from typing import Any

import dotenv.parser

from vision_stream.config.problems import Path, Place, Problem, dotted
from vision_stream.config.schema import PREFIX, Leaf, is_model, variables

NOT_SETTINGS = ("ALGO_CONFIG_DIR",)  # read before the settings are
LARGEST_SECRET = 1_000_000  # bytes; a list of keys as JSON may be one. What is longer is cut, /dev/zero too.

_FILE = "_FILE"


@dataclass
class Variables:
    """Names and texts of one origin, with their places; for settings, and for ``${NAME}`` in files."""

    texts: dict[str, str] = field(default_factory=dict, repr=False)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass
class Values:
    """The settings that one origin gives, by path."""

    values: dict[Path, Any] = field(default_factory=dict, repr=False)
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def of_process(environ: Mapping[str, str]) -> Variables:
    return Variables(dict(environ), {name: Place("environment", variable=name) for name in environ})


def of_file(path: FilePath, *, wanted: bool) -> Variables:
    """Read a ``.env``: ``NAME=value`` lines, quotes and comments as python-dotenv has them, nothing expanded.

    Args:
        wanted: whether a missing file is a problem.
    """
    found = Variables()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if wanted:
            found.problems.append(_unreadable(Place(str(path)), "", "no such file"))
        return found
    except (OSError, ValueError) as error:
        found.problems.append(_unreadable(Place(str(path)), "", _reason(error)))
        return found
    for binding in dotenv.parser.parse_stream(StringIO(text)):
        written = binding.original.string
        blank = len(written) - len(written.lstrip())  # the parser counts blank lines before a name to the name
        place = Place(str(path), binding.original.line + written[:blank].count("\n"), 1, binding.key or "")
        if binding.error or (binding.key and binding.value is None):
            remedy = "write NAME=value; put a value with spaces, # or quotes in quotes"
            nameless = replace(place, variable="")  # what stands there may be the value, and a secret
            found.problems.append(Problem(nameless, "", "a line that is no NAME=value", "NAME=value", remedy))
        elif binding.key:
            if binding.key in found.texts:
                said = f"twice; first on line {found.places[binding.key].line}"
                found.problems.append(Problem(place, "", said, "each name once", "remove one of the two"))
            found.texts[binding.key] = binding.value or ""
            found.places[binding.key] = place
    return found


def settings_of(origin: Variables) -> Values:
    """The settings among the variables; every other ``ALGO_`` name is a problem."""
    result = Values(problems=list(origin.problems))
    for name in sorted(origin.texts):
        if not name.upper().startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        text, place = origin.texts[name], origin.places[name]
        leaf = variables().get(name) or _secret_file(name)
        if leaf is None:
            result.problems.append(_unknown(name, place))
        elif text.strip():
            _take(leaf, name, text, place, origin, result)
    return result


def _take(leaf: Leaf, name: str, text: str, place: Place, origin: Variables, result: Values) -> None:
    if name != leaf.variable:
        if origin.texts.get(leaf.variable, "").strip():
            said = f"both {leaf.variable} and {name}"
            result.problems.append(Problem(place, dotted(leaf.path), said, "one of the two", f"unset {leaf.variable}"))
            return
        try:
            text = secret_in(FilePath(text))
        except (OSError, ValueError) as error:
            result.problems.append(_unreadable(place, dotted(leaf.path), _reason(error)))
            return
    try:
        result.values[leaf.path] = parse(leaf, text)
        result.places[leaf.path] = place
    except (ValueError, RecursionError):
        remedy = f"""write {leaf.variable}='[...]' with valid JSON in it"""
        result.problems.append(Problem(place, dotted(leaf.path), "text that is no JSON list", leaf.allowed, remedy))


def parse(leaf: Leaf, text: str) -> Any:
    """A variable's text as its setting's type wants it; numbers and truth stay text, for pydantic to read.

    Raises:
        ValueError: a list in brackets is not JSON.
    """
    if leaf.item is None:
        return text if leaf.secret else text.strip()
    if is_model(leaf.item) or text.lstrip().startswith("["):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def secret_in(path: FilePath) -> str:
    """The content of a file with one secret, without the newline that editors add.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(LARGEST_SECRET).decode("utf-8-sig").strip("\r\n")


def _secret_file(name: str) -> Leaf | None:
    leaf = variables().get(name.removesuffix(_FILE)) if name.endswith(_FILE) else None
    return leaf if leaf and leaf.secret else None


def _unknown(name: str, place: Place) -> Problem:
    known = [*variables(), *NOT_SETTINGS, *(f"{name}{_FILE}" for name, leaf in variables().items() if leaf.secret)]
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.7)
    remedy = f"write {near[0]}" if near else "unset it"
    allowed = f"{PREFIX} names of settings (docs/configuration.md)"
    return Problem(place, "", f"{name}, which no setting has", allowed, remedy)


def _unreadable(place: Place, field: str, reason: str) -> Problem:
    return Problem(place, field, reason, "a readable text file", "correct the path, or the file's permissions")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {(error.strerror or type(error).__name__).lower()}"
    return "no path, or bytes that are not UTF-8"
