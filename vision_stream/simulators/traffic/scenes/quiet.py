"""A residential street where little happens and nothing is dangerous."""

from __future__ import annotations

from vision_stream.simulators.traffic.episode import Episode, Mount, Setting
from vision_stream.simulators.traffic.ground import PAVEMENT
from vision_stream.simulators.traffic.scenes.crossing import (
    CYCLE_LANES,
    LANES,
    REACH,
    along,
    paint_street,
    pavement_walkers,
)

CYCLE_S = 20.0


def write(episode: Episode) -> None:
    for y, direction in LANES:
        if episode.chance(0.6):
            label = episode.one_of(("car", "car", "car", "motorcycle", "truck"))
            episode.send(label, along(direction, y), 8.0, REACH, at=episode.between(0, CYCLE_S))
    for y, direction in CYCLE_LANES:
        if episode.chance(0.35):
            episode.send("bicycle", along(direction, y), 4.6, REACH, at=episode.between(0, CYCLE_S))
    pavement_walkers(episode, CYCLE_S)


MOUNT = Mount((0, 29.5), 30.0, 10.5, yaws=(-0.25, 0.25), focal=0.88)
SETTING = Setting(CYCLE_S, PAVEMENT, MOUNT, paint_street, write)
