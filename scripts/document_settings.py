"""Write docs/configuration.md from the settings themselves: ``python scripts/document_settings.py [--check]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from vision_stream.config.files import FILES
from vision_stream.config.layers import get
from vision_stream.config.problems import dotted
from vision_stream.config.schema import Leaf, find, is_model, leaves
from vision_stream.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
INTRODUCTION = ROOT / "docs" / "configuration.intro.md"


def page() -> str:
    """The whole page: the introduction, which is written by hand, and one table a file."""
    parts = [INTRODUCTION.read_text(), *_tables()]
    return "\n".join(parts)


def _tables() -> Iterator[str]:
    for (file, prefix), group in groupby(sorted(leaves().values(), key=_order), key=_file_of):
        yield f"## config/{file}\n"
        yield _table(list(group), len(prefix), with_variables=True)
        for leaf in leaves().values():
            if _file_of(leaf)[0] == file:
                yield from _items(leaf, len(prefix))


def _items(leaf: Leaf, skipped: int) -> Iterator[str]:
    """A table of what an item of the list ``leaf`` holds, and of the lists in it."""
    if is_model(leaf.item):
        fields = list(_fields(leaf))
        name = dotted(leaf.path[skipped:]).replace("[0]", "[]")
        yield f"Each item of `{name}`:\n"
        yield _table(fields, len(leaf.path) + 1, with_variables=False)
        for field in fields:
            yield from _items(field, skipped)


def _table(rows: list[Leaf], skipped: int, *, with_variables: bool) -> str:
    names = ["Setting", *(["Environment"] if with_variables else []), "Default", "Allowed", "Meaning"]
    lines = [_row(names), _row(["---"] * len(names))]
    for leaf in rows:
        variable = [f"`{leaf.variable}`{', `_FILE`' if leaf.secret else ''}"] if with_variables else []
        name = f"`{dotted(leaf.path[skipped:])}`"
        allowed = "a list, see below" if is_model(leaf.item) else leaf.allowed
        lines.append(_row([name, *variable, _default(leaf), allowed, leaf.field.description or ""]))
    return "\n".join([*lines, ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _default(leaf: Leaf) -> str:
    if leaf.path in leaves():
        return _shown(get(Settings(), leaf.path))
    return "required" if leaf.field.is_required() else _shown(leaf.field.default)


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()  # a default is no secret
    if value is None or value in ((), ""):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _fields(leaf: Leaf) -> Iterator[Leaf]:
    model: type[BaseModel] = leaf.item
    for name in model.model_fields:
        if field := find((*leaf.path, 0, name)):
            yield field


def _file_of(leaf: Leaf) -> tuple[str, tuple[str | int, ...]]:
    for file, prefix in FILES.items():
        if prefix and leaf.path[: len(prefix)] == prefix:
            return file, prefix
    return "settings.yaml", ()


def _order(leaf: Leaf) -> int:
    return list(FILES).index(_file_of(leaf)[0])


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print(f"{PAGE.relative_to(ROOT)} is old: run `python scripts/document_settings.py`", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
