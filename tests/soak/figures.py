"""From samples to figures: a slope of memory that single jumps do not move, and whether a level stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MB_A_HOUR = 1.0  # the most that the memory of a process may grow
LEAST_S = 300.0  # of a life behind its warm-up; a shorter one says nothing of a slope
LONG_S = 3600.0  # A life from so long on has a warm-up that is a share of it.
TOLERATED = 0.05  # of a level, or ``TOLERATED_COUNT``: connections and descriptors come and go
TOLERATED_COUNT = 5.0

Point = tuple[float, float]  # epoch seconds, value


@dataclass(frozen=True)
class Slope:
    per_h: float
    lives: int
    longest_s: float  # of the lives that were fitted, behind their warm-up
    last: float


@dataclass(frozen=True)
class Level:
    """Of the lower quartile, because a burst of work lifts all but the floor, and what leaks lifts the floor."""

    early: float  # of the first third
    late: float  # of the last

    @property
    def flat(self) -> bool:
        return self.late - self.early <= max(TOLERATED_COUNT, TOLERATED * self.early)


def slope(
    lives: Iterable[Sequence[Point]], *, warm_up_s: float, least_s: float = LEAST_S, long_warm_up: float = 0.5
) -> Slope | None:
    """Theil and Sen's: the median of the slopes between all pairs of points of the same life. None: no life is long
    enough.

    ``long_warm_up``: share of a long life after which what is bounded has filled.

    >>> slope([[(0.0, 9.0), (600.0, 9.5), (1200.0, 10.0), (1800.0, 10.5), (1860.0, 90.0)]], warm_up_s=0).per_h
    3.0
    """
    settled = [
        _behind(life, max(warm_up_s, long_warm_up * _span(life) if _span(life) >= LONG_S else 0))
        for life in lives
        if life
    ]
    fitted = [life for life in settled if life and _span(life) >= least_s]
    if not fitted:
        return None
    pairs = np.concatenate([_pair_slopes(life) for life in fitted])
    longest = max(map(_span, fitted))
    return Slope(float(np.median(pairs)) * 3600, len(fitted), longest, fitted[-1][-1][1])


def level(points: Sequence[Point], *, warm_up_s: float) -> Level | None:
    """None: too few."""
    values = [value for _, value in _behind(points, warm_up_s)]
    third = len(values) // 3
    return Level(_floor(values[:third]), _floor(values[-third:])) if third else None


def _floor(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.25))


def _behind(points: Sequence[Point], warm_up_s: float) -> list[Point]:
    return [point for point in points if point[0] - points[0][0] >= warm_up_s]


def _span(points: Sequence[Point]) -> float:
    return points[-1][0] - points[0][0]


def _pair_slopes(life: Sequence[Point]) -> np.ndarray:
    at, value = np.array(life).T
    first, second = np.triu_indices(len(at), k=1)
    return (value[second] - value[first]) / (at[second] - at[first])
