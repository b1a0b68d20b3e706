"""Rows as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Columns with the names of the first row's fields; at least one row.

    >>> print(as_table([{"camera": "gate", "enabled": True, "zones": []}]))
    CAMERA  ENABLED  ZONES
    gate    yes      -
    """
    table = [[name.upper() for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(value) or "-"
    return str(value) if value not in (None, "") else "-"
