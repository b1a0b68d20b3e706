"""How urgent a group looks without an LLM: people near vehicles, closing in, on paths that cross."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from vision_stream.gating.state import Position
from vision_stream.messages import DetectedObject

VULNERABLE = frozenset({"person", "bicycle", "motorcycle"})
VEHICLES = frozenset({"car", "truck", "bus", "motorcycle", "train"})

BASE = 20  # any group that is worth a call
MIXED = 25  # people and vehicles together
NEAR = 25  # at touching distance; falls to 0 at NEAR_FRAME of the frame's height
CLOSING = 20  # heading for each other at CLOSING_FRAME heights a second or more
DANGEROUS_BEFORE = 10  # its last verdict was high
NEAR_FRAME = 0.25
CLOSING_FRAME = 0.3
HORIZON_S = 3.0  # paths that meet later than this are no conflict yet


def priority(
    members: Iterable[DetectedObject],
    before: Mapping[int, Position],
    *,
    captured_at: float,
    frame_height: int,
    dangerous_before: bool,
) -> int:
    """0..100, 100 the most urgent.

    Args:
        before: a track's last position, by track id; without one an object counts as standing still.
    """
    objects = list(members)
    people = [o for o in objects if o.label in VULNERABLE]
    vehicles = [o for o in objects if o.label in VEHICLES and o.label not in VULNERABLE]
    score = float(BASE + DANGEROUS_BEFORE * dangerous_before)
    if people and vehicles:
        gaps, speeds = _pairs(people, vehicles, before, captured_at, frame_height)
        score += MIXED
        score += NEAR * max(0.0, 1.0 - float(gaps.min()) / NEAR_FRAME)
        score += CLOSING * min(1.0, max(0.0, float(speeds.max())) / CLOSING_FRAME)
    return min(100, round(score))


def _pairs(
    people: list[DetectedObject],
    vehicles: list[DetectedObject],
    before: Mapping[int, Position],
    captured_at: float,
    frame_height: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gap (frame heights) and closing speed (frame heights a second, 0 where paths do not meet) of each pair."""
    at_a, v_a = _motion(people, before, captured_at)
    at_b, v_b = _motion(vehicles, before, captured_at)
    apart = at_b[None] - at_a[:, None]  # (people, vehicles, 2)
    relative = v_b[None] - v_a[:, None]
    distance = np.linalg.norm(apart, axis=2)
    touching = (_radius(people)[:, None] + _radius(vehicles)[None]) / 2
    gap = np.maximum(distance - touching, 0.0)
    closing = -(apart * relative).sum(axis=2) / np.maximum(distance, 1.0)
    meets_in = gap / np.maximum(closing, 1e-6)
    closing = np.where((closing > 0) & (meets_in <= HORIZON_S), closing, 0.0)
    return gap / frame_height, closing / frame_height


def _motion(
    objects: list[DetectedObject], before: Mapping[int, Position], now: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (n, 2) in pixels and velocities (n, 2) in pixels a second."""
    centres = np.array([((o.box.x1 + o.box.x2) / 2, (o.box.y1 + o.box.y2) / 2) for o in objects])
    velocities = np.zeros_like(centres)
    for i, o in enumerate(objects):
        last = before.get(o.track_id) if o.track_id is not None else None
        if last is not None and now > last.at:
            velocities[i] = (centres[i] - (last.x, last.y)) / (now - last.at)
    return centres, velocities


def _radius(objects: list[DetectedObject]) -> NDArray[np.float64]:
    return np.array([max(o.box.x2 - o.box.x1, o.box.y2 - o.box.y1) for o in objects])
