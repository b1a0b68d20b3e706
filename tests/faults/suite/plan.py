"""Which rounds, in which order, and which of them share a scene. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from tests.faults.suite.row import Row, Setting

BLOCK = 12  # rounds on one scene: its whole past is audited at the end of each, and that grows


class Round(NamedTuple):
    row: Row
    seed: int


def choose(rows: Sequence[Row], names: Iterable[str]) -> list[Row]:
    """Rows by name, or a family with all its variants; none named: all.

    Raises:
        ValueError: a name that no row has.
    """
    wanted = list(names)
    known = {row.name for row in rows} | {row.family for row in rows}
    if unknown := sorted(set(wanted) - known):
        raise ValueError(f"no row {', '.join(unknown)}; there are {', '.join(row.name for row in rows)}")
    return [row for row in rows if not wanted or row.name in wanted or row.family in wanted]


def rounds(rows: Sequence[Row], count: int, seed: int) -> list[Round]:
    """``count`` rounds of each family, its variants in turn; the n-th has the seed ``seed + n``, from 0."""
    families = [list(group) for _, group in groupby(sorted(rows, key=_number), key=lambda row: row.family)]
    return [Round(family[n % len(family)], seed + n) for family in families for n in range(count)]


def blocks(planned: Sequence[Round]) -> Iterator[tuple[Setting, list[Round]]]:
    """Rounds that share a scene; of each setting a block in turn, so that a run that is cut short has seen them all."""
    left: dict[Setting, list[Round]] = {}
    for one in planned:
        left.setdefault(one.row.setting, []).append(one)
    while left:
        for setting, waiting in list(left.items()):
            size = 1 if setting.private else BLOCK
            yield setting, waiting[:size]
            left[setting] = waiting[size:]
            if not left[setting]:
                del left[setting]


def affordable(rows: Sequence[Row], *, within_s: float, scene_s: float, rng: random.Random) -> list[Row]:
    """As many rows, chosen at random, as take ``within_s`` seconds with ``scene_s`` for each scene they need."""
    chosen: list[Row] = []
    for row in rng.sample(rows, len(rows)):
        wanted = [*chosen, row]
        scenes = len({r.setting for r in wanted if not r.setting.private}) + sum(r.setting.private for r in wanted)
        if sum(r.about_s for r in wanted) + scenes * scene_s <= within_s:
            chosen = wanted
    return chosen


def _number(row: Row) -> tuple[int, str]:
    digits = "".join(c for c in row.family if c.isdigit())
    return int(digits or 0), row.name
