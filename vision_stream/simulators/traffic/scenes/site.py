"""A building site: trucks on a haul road, workers on foot around them."""

from __future__ import annotations

import numpy as np

from vision_stream.simulators.traffic.episode import Episode, Mount, Setting
from vision_stream.simulators.traffic.ground import EARTH, GroundPainter
from vision_stream.simulators.traffic.motion import Path
from vision_stream.simulators.traffic.people import WORKER
from vision_stream.simulators.traffic.vehicles import TIPPER

CYCLE_S = 26.0
HAUL_ROAD = 27.0
FAR_ROAD = 33.5
REACH = 45.0


def paint(ground: GroundPainter) -> None:
    for y, width in ((HAUL_ROAD, 5.5), (FAR_ROAD, 4.5)):
        ground.strip((-70, y), (70, y), width, (98, 118, 134))
        for rut in (-1.0, 1.0):
            ground.strip((-70, y + rut), (70, y + rut), 0.5, (84, 104, 120))
    ground.area([(-9, 15.5), (9, 15.5), (9, 23.5), (-9, 23.5)], (140, 146, 150))  # a slab of concrete
    for x in np.arange(-8, 9, 2.0):
        ground.strip((x, 15.5), (x, 23.5), 0.06, (110, 116, 120))
    ground.fence((-60, 41.0), (60, 41.0), 2.2, (146, 150, 156))
    ground.houses((-60, 60), 52.0)
    for x, colour in ((-17, (150, 104, 66)), (-9.5, (64, 84, 146)), (13, (84, 126, 96))):
        ground.block((x, x + 6.0), (38.0, 40.5), 2.6, colour)
    for x in (3.0, 4.2, 5.4):
        ground.block((x, x + 1.0), (38.5, 40.0), 1.1, (92, 128, 158))


def write(episode: Episode) -> None:
    high = episode.chance(0.8)
    if high and episode.chance(0.6):
        _reverse_towards_a_worker(episode)
    else:
        _haul(episode, high)
    if episode.chance(0.7):
        _drive_by(episode)
    _workers(episode)
    if episode.chance(0.55):
        _stand_beside_plant(episode)


def _worker(episode: Episode, path: Path, speed: float, at_m: float, at: float, until: float | None = None) -> str:
    return episode.send("person", path, speed, at_m, at=at, until=until, look=WORKER + episode.count(0, 899))


def _reverse_towards_a_worker(episode: Episode) -> None:
    """A dump truck reverses along the haul road and somebody walks behind it, out of the driver's sight."""
    x = episode.between(-4, 4)
    path = Path((REACH, HAUL_ROAD), (-REACH, HAUL_ROAD))
    truck = episode.send("truck", path, 4.0, REACH - x - 4.6, at=8.5, until=14.0, look=TIPPER, backwards=True)
    walk = Path((x - 2.2, 12.0), (x - 1.6, HAUL_ROAD - 0.3), (x - 3.5, 40.0))
    worker = _worker(episode, walk, 1.3, HAUL_ROAD - 12.3, at=8.0, until=10.0)
    episode.endanger("high", "worker_behind_reversing_truck", [truck, worker], at=4.8, until=11.4)


def _haul(episode: Episode, high: bool) -> None:
    """A truck comes, halts for loading, and leaves; two workers cross just before it."""
    x = episode.between(-6, 6)
    path = Path((-REACH, HAUL_ROAD), (REACH, HAUL_ROAD))
    look = TIPPER if episode.chance(0.6) else None
    truck = episode.send("truck", path, 6.0, REACH + x, at=8.0, until=18.0, look=look)
    # As it brakes, or as it starts.
    speed, at = (2.2, 7.3) if high else (1.3, 16.9)
    workers = []
    for crossing_x in (x + 5.6, x + 6.4):
        walk = Path((crossing_x, 13.0), (crossing_x + 0.5, 39.0))
        workers.append(_worker(episode, walk, speed, HAUL_ROAD - 13.0, at=at))
    until = 8.6 if high else 19.2
    level = "high" if high else "medium"
    episode.endanger(level, "worker_in_vehicle_path", [truck, *workers], at=until - 4.2, until=until)


def _drive_by(episode: Episode) -> None:
    path = Path((REACH, FAR_ROAD), (-REACH, FAR_ROAD))
    label = episode.one_of(("truck", "truck", "car"))
    look = TIPPER if label == "truck" and episode.chance(0.5) else None
    episode.send(label, path, 5.0, REACH, at=episode.between(6, 20), look=look)


def _workers(episode: Episode) -> None:
    """Workers who cross the slab, stop to look at something, and go on."""
    for _ in range(episode.count(2, 3)):
        y = episode.between(15.5, 22.5)
        direction = 1 if episode.chance(0.5) else -1
        at = episode.between(0, CYCLE_S)
        for i in range(episode.count(1, 2)):
            path = Path((-26 * direction, y + 0.8 * i), (26 * direction, y + episode.between(-1, 1)))
            _worker(
                episode,
                path,
                1.25,
                26 + episode.between(-8, 8) + 0.9 * i,
                at=at,
                until=at + episode.between(3, 9),
            )


def _stand_beside_plant(episode: Episode) -> None:
    """Two workers talk close to the far road."""
    x, at = episode.between(-9, 9), episode.between(2, 6)
    until = at + episode.between(8, 12)
    members = [
        _worker(
            episode,
            Path((x - 25, 36.6), (x + i, 36.2), (x + 25, 36.8)),
            1.3,
            24.9 + i,
            at=at + 0.8 * i,
            until=until + i,
        )
        for i in (0, 1)
    ]
    level = "medium" if episode.chance(0.3) else "low"
    episode.endanger(level, "standing_near_haul_road", members, at=at + 1.5, until=until)


MOUNT = Mount((0, 28.0), 28.0, 11.0, yaws=(-0.35, 0.35), focal=0.88)
SETTING = Setting(CYCLE_S, EARTH, MOUNT, paint, write)
