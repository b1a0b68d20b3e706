"""The rows of the fault suite: each module's ``ROWS``, by number."""

from __future__ import annotations

import importlib
import pkgutil

from tests.faults.suite.row import Row

__all__ = ["ROWS"]


def _collected() -> tuple[Row, ...]:
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    rows = [row for module in modules for row in module.ROWS]
    return tuple(sorted(rows, key=lambda row: (int(row.family[1:]), row.name)))


ROWS = _collected()
