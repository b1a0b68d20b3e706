"""Vehicles at a stop line: those that wait for green, and those that find it green."""

from __future__ import annotations

from vision_stream.simulators.traffic.episode import Episode
from vision_stream.simulators.traffic.motion import Path
from vision_stream.simulators.traffic.truth import Label

CARS_MOSTLY: tuple[Label, ...] = ("car",) * 6 + ("truck", "bus", "motorcycle")
HALF_LENGTHS_M = {"bus": 5.3, "truck": 4.0}  # others: 2.3
BUMPER_GAP_M = 1.6
NEXT_S = 1.2  # how much later than the one before each starts


def wait(
    episode: Episode, path: Path, speed: float, line: float, count: int, halts_at: float, goes_at: float
) -> list[str]:
    """``count`` vehicles halt one behind the other before ``line`` (metres on the path); their ids from the front."""
    ids: list[str] = []
    back = 2.0
    for i in range(count):
        label = episode.one_of(CARS_MOSTLY)
        half = HALF_LENGTHS_M.get(label, 2.3)
        back += half
        # Each halts a little later than the one in front, or it would drive through it.
        ids.append(episode.send(label, path, speed, line - back, at=halts_at + 1.3 * i, until=goes_at + NEXT_S * i))
        back += half + BUMPER_GAP_M
    return ids


def pass_by(
    episode: Episode, path: Path, speed: float, line: float, first: float, until: float, gap_s: tuple[float, float]
) -> None:
    """Vehicles pass ``line`` at full speed from ``first`` to ``until`` (seconds), with gaps from that range."""
    at = first
    while at < until:
        episode.send(episode.one_of(CARS_MOSTLY), path, speed, line, at=at)
        at += episode.between(*gap_s)
