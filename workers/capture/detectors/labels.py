"""Class names: which of a model's classes a user asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from vision_stream.errors import ConfigError


def wanted_classes(wanted: Iterable[str], names: Mapping[int, str], *, model: str) -> frozenset[int]:
    """Class ids of the wanted names, all where none is given; case, spaces, ``_`` and ``-`` do not matter.

    Raises:
        ConfigError: the model has no such class; names the nearest.

    >>> sorted(wanted_classes(["Traffic-Light"], {0: "person", 9: "traffic light"}, model="m"))
    [9]
    """
    by_name = {_plain(name): number for number, name in names.items()}
    chosen = set()
    for name in wanted:
        if _plain(name) not in by_name:
            raise ConfigError(f"model.classes: {model} has no class {name!r}", remedy=_remedy(name, names))
        chosen.add(by_name[_plain(name)])
    return frozenset(chosen) or frozenset(names)


def _remedy(name: str, names: Mapping[int, str]) -> str:
    plain = {_plain(known): known for known in names.values()}
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(plain[match] for match in near)}?"
    some = list(names.values())[:12]
    return f"it knows {', '.join(some)}{', ...' if len(names) > len(some) else ''}"


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-")
