"""A file's bytes to a YAML node tree, or why it has none: encoding, size, depth, syntax.

PyYAML's own words are not passed on where they can quote the file: what they quote may be the start of a secret.
"""

from __future__ import annotations

import yaml

from vision_stream.config.problems import Place, Problem

LARGEST = 1_000_000  # bytes of a file
DEEPEST = 20  # nested lists and mappings; ours need 4


class Unreadable(Exception):
    """Nothing of the file can be used."""

    def __init__(self, place: Place, found: str, allowed: str, remedy: str, field: str = "") -> None:
        super().__init__(found)
        self.problem = Problem(place, field, found, allowed, remedy)


def compose(raw: bytes, name: str) -> yaml.Node | None:
    """The root of the file called ``name``; None where it holds only comments.

    Raises:
        Unreadable: with the first reason.
    """
    text = _text(raw, name)
    loader = yaml.SafeLoader(text)
    try:
        _bounded(text, name)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text, name) from None
    finally:
        loader.dispose()


def too_deep(place: Place) -> Unreadable:
    found = f"lists or mappings nested more than {DEEPEST} deep"
    return Unreadable(place, found, f"at most {DEEPEST} levels", "write it flatter; an alias must not contain itself")


def place_of(mark: yaml.Mark, name: str) -> Place:
    return Place(name, mark.line + 1, mark.column + 1)


def _text(raw: bytes, name: str) -> str:
    if not raw.strip():
        remedy = "write {} for all defaults, or delete the file"
        raise Unreadable(Place(name, 1, 1), "an empty file", "a mapping", remedy)
    if len(raw) > LARGEST:
        raise Unreadable(Place(name), f"{len(raw):_} bytes", f"at most {LARGEST:_} bytes", "make the file smaller")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig")
        found = f"byte 0x{raw[error.start]:02x}, which is not UTF-8"
        raise Unreadable(_end_of(before, name), found, "UTF-8 text", "save the file as UTF-8") from None
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        found, place = f"the control character U+{ord(odd.group()):04X}", _end_of(text[: odd.start()], name)
        raise Unreadable(place, found, "printable text", "remove the character")
    return text


def _end_of(text: str, name: str) -> Place:
    return Place(name, text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)


def _bounded(text: str, name: str) -> None:
    """Refuse what is nested too deeply, from the events: composing recurses, and would end the interpreter's stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise too_deep(place_of(event.start_mark, name))


# What PyYAML says, what that means, and what to do.
_MEANINGS = (
    ("alias", "an alias (`*`) that nothing defines", "put text that starts with `*` in quotes"),
    ("anchor", "an anchor (`&`) that YAML cannot read", "put text that starts with `&` in quotes"),
    ("tag", "a YAML tag (`!`)", "put text that starts with `!` in quotes"),
    ("another document", "a second document (`---`)", "remove the line `---`"),
    ("mapping values are not allowed", "a `: ` where none can be", "put the text in quotes; check the indentation"),
    ("could not find expected ':'", "a name without `: value`", "write `name: value`; check the lines above"),
    ("cannot start any token", "a character that cannot start a value", "put the text in quotes"),
    ("unexpected end of stream", "a quote that is never closed", "close it"),
)


def _syntax(error: yaml.MarkedYAMLError, text: str, name: str) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    place = place_of(mark, name) if mark else Place(name, 1, 1)
    line = [*text.splitlines(), *[""] * place.line][place.line - 1]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        place = Place(name, place.line, line.index("\t") + 1)
        return Unreadable(place, "a tab in the indentation", "spaces", "replace the tab by spaces")
    if "${" in line and "{" in line.replace("${", ""):
        return Unreadable(place, "${...} without quotes", "valid YAML", 'write "${NAME}", with quotes, inside { }')
    said = str(error.problem)
    for words, found, remedy in _MEANINGS:
        if words in said:
            return Unreadable(place, found, "valid YAML", remedy)
    return Unreadable(place, said, "valid YAML", "check brackets, quotes and the indentation, here and above")
