"""A motorway with three lanes each way and a hard shoulder, seen from a bridge."""

from __future__ import annotations

import numpy as np

from vision_stream.simulators.traffic.episode import Episode, Mount, Setting
from vision_stream.simulators.traffic.ground import ASPHALT, GRASS, KERB, GroundPainter
from vision_stream.simulators.traffic.motion import Path
from vision_stream.simulators.traffic.truth import Label

CYCLE_S = 18.0
LENGTH = 100.0
NEAREST = -12.0
LANES: tuple[tuple[float, int, float, tuple[Label, ...]], ...] = (  # x, direction along y, m/s, who drives there
    (2.9, 1, 17.0, ("car", "car", "motorcycle")),
    (6.5, 1, 15.0, ("car", "car", "car", "bus", "motorcycle")),
    (10.1, 1, 13.0, ("truck", "car", "truck", "bus")),
    (-2.9, -1, 17.0, ("car", "car", "motorcycle")),
    (-6.5, -1, 15.0, ("car", "car", "car", "truck")),
    (-10.1, -1, 13.0, ("truck", "car", "bus")),
)
SHOULDER = 13.6


def paint(ground: GroundPainter) -> None:
    ends = (-30.0, 160.0)
    for side in (-1, 1):
        ground.area(
            [(side * 1.0, ends[0]), (side * 15.4, ends[0]), (side * 15.4, ends[1]), (side * 1.0, ends[1])],
            ASPHALT,
        )
        for x in (1.1, 11.9):
            ground.strip((side * x, ends[0]), (side * x, ends[1]), 0.2)
        for x in (4.7, 8.3):
            ground.dashes((side * x, ends[0]), (side * x, ends[1]), 0.16, dash=3.0, gap=6.0)
        ground.strip((side * 15.4, ends[0]), (side * 15.4, ends[1]), 0.4, KERB)
    ground.area([(-1.0, ends[0]), (1.0, ends[0]), (1.0, ends[1]), (-1.0, ends[1])], (96, 118, 108))
    ground.fence((0, ends[1]), (0, 6.0), 0.7, (150, 152, 154))
    for y in np.arange(110, 22, -9.0):
        for x in (-22.0, 22.0):
            ground.tree(x + float(ground.rng.uniform(-2, 2)), float(y))


def write(episode: Episode) -> None:
    flows = [_flow(episode, lane) for lane in range(len(LANES))]
    if episode.chance(0.45):
        _tailgate(episode, flows)
    if episode.chance(0.35):
        _breakdown(episode)


def _lane_path(x: float, direction: int) -> Path:
    return Path((x, NEAREST), (x, LENGTH)) if direction > 0 else Path((x, LENGTH), (x, NEAREST))


def _flow(episode: Episode, lane: int) -> list[tuple[str, float]]:
    """Vehicles of one lane at its speed: their ids and when they are at the lane's middle."""
    x, direction, speed, labels = LANES[lane]
    slots = episode.count(3, 5)
    times = [(i + episode.between(0.1, 0.55)) * CYCLE_S / slots for i in range(slots)]
    half = (LENGTH - NEAREST) / 2
    return [(episode.send(episode.one_of(labels), _lane_path(x, direction), speed, half, at=at), at) for at in times]


def _tailgate(episode: Episode, flows: list[list[tuple[str, float]]]) -> None:
    """A car follows another far too closely."""
    lane = 0 if episode.chance(0.5) else 3
    x, direction, speed, _ = LANES[lane]
    leader, at = flows[lane][0]
    follower = episode.send("car", _lane_path(x, direction), speed, (LENGTH - NEAREST) / 2, at=at + 7.5 / speed)
    level = "medium" if episode.chance(0.7) else "low"
    episode.endanger(level, "tailgating", [leader, follower], at=at - 2.0, until=at + 2.6)


def _breakdown(episode: Episode) -> None:
    """A vehicle stands on the hard shoulder and its driver walks beside the traffic."""
    y = episode.between(22, 34)
    halted, leaves = 3.0, 16.0
    label = "car" if episode.chance(0.7) else "truck"
    vehicle = episode.send(label, _lane_path(SHOULDER, 1), 12.0, y - NEAREST, at=halted, until=leaves)
    side = SHOULDER - 1.7
    walk = Path((side, y + 0.5), (side, y + 3.5), (side + 0.2, y - 3.0), (side + 0.2, y + 0.5))
    driver = episode.send("person", walk, 1.3, 0.0, at=halted + 1.6)
    episode.endanger(
        "high",
        "person_on_motorway",
        [vehicle, driver],
        at=halted + 1.8,
        until=halted + 1.6 + walk.length / 1.3,
    )


MOUNT = Mount((1.5, 22.0), 22.0, 12.0, yaws=(0.08,), focal=0.86)
SETTING = Setting(CYCLE_S, GRASS, MOUNT, paint, write)
