"""The documents that a user reads, and what is in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deployment").rglob("*.md"),
    )
    if "upstream" not in path.parts
)
RUN = "sh run"  # the info string of a block whose commands the tests run


class Block(NamedTuple):
    """A fenced block; ``page`` is its document."""

    page: Path
    info: str
    text: str


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^ *```([^\n]*)\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [Block(page, info.strip(), text) for info, text in found]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
