"""A pedestrian crossing with signals over a street with a lane and a cycle lane each way.

A cycle: people cross from second 0 to 9, vehicles drive from 10.5 on. Not everybody keeps to it.
"""

from __future__ import annotations

import numpy as np

from vision_stream.simulators.traffic import queues
from vision_stream.simulators.traffic.episode import Episode, Mount, Setting
from vision_stream.simulators.traffic.ground import ASPHALT, GRASS, KERB, PAVEMENT, GroundPainter
from vision_stream.simulators.traffic.motion import Path

CYCLE_S = 24.0
NEAR_KERB, FAR_KERB = 23.0, 37.0
LANES = ((27.2, 1), (32.8, -1))  # y, direction along x
CYCLE_LANES = ((24.0, 1), (36.0, -1))
REACH = 48.0  # half the street that is simulated; the frame shows about 23
STOP_LINE = 4.2  # before the crossing's middle
SPEED = 9.0


def paint(ground: GroundPainter) -> None:
    paint_street(ground)
    ground.zebra((-2.2, 2.2), (NEAR_KERB, FAR_KERB), bars_along_x=True)
    for y, direction in LANES:
        x = -direction * (STOP_LINE - 1.0)
        ground.strip((x, y - 2.6), (x, y + 2.6), 0.35)


def paint_street(ground: GroundPainter) -> None:
    """A street from left to right with pavements, houses and trees."""
    far = REACH + 30
    ground.area([(-far, FAR_KERB), (far, FAR_KERB), (far, 42.5), (-far, 42.5)], PAVEMENT)
    ground.area([(-far, 17), (far, 17), (far, NEAR_KERB), (-far, NEAR_KERB)], PAVEMENT)
    ground.area([(-far, -20), (far, -20), (far, 17), (-far, 17)], GRASS)
    ground.area([(-far, NEAR_KERB), (far, NEAR_KERB), (far, FAR_KERB), (-far, FAR_KERB)], ASPHALT)
    for y in (NEAR_KERB, FAR_KERB):
        ground.strip((-far, y), (far, y), 0.3, KERB)
    for y in (24.9, 35.1):
        ground.strip((-far, y), (far, y), 0.12)
    ground.dashes((-far, 30.0), (far, 30.0))
    ground.houses((-far, far), 44.0)
    for x in np.arange(-40, 41, 11.0):
        ground.tree(float(x + ground.rng.uniform(-2, 2)), 42.0)
    for x in np.arange(-30, 31, 1.3):
        ground.strip((x, 17.2), (x + 0.8, 17.2), 0.3, (104, 126, 112))


def write(episode: Episode) -> None:
    high = episode.chance(0.75)
    runner = high and episode.chance(0.5)
    run_lane = episode.count(0, 1)
    crossers = _people_cross(episode, at_least=3 if runner else 1)
    waiting = [
        _vehicles(episode, lane, red_runner=runner and lane == run_lane, sparse=high and not runner) for lane in (0, 1)
    ]
    if runner:
        _run_the_red(episode, run_lane, crossers)
    elif high:
        _jaywalk(episode)
    if episode.chance(0.4):
        _late_runner(episode, [ids[0] for ids in waiting if ids])
    if episode.chance(0.5):
        _wait_on_the_road(episode)
    _cyclists(episode)
    pavement_walkers(episode, CYCLE_S, busy=1)


def along(direction: int, y: float) -> Path:
    return Path((-direction * REACH, y), (direction * REACH, y))


def _vehicles(episode: Episode, lane: int, red_runner: bool, sparse: bool) -> list[str]:
    """A queue at the red light, then a few that pass; the ids of the queue."""
    y, direction = LANES[lane]
    path, line = along(direction, y), REACH - STOP_LINE
    go = 10.5 + episode.between(0, 0.6)
    count = 0 if red_runner else episode.count(1, 2)
    waiting = queues.wait(episode, path, SPEED, line, count, halts_at=1.0, goes_at=go)
    if not sparse:
        first = go + queues.NEXT_S * count + 4.5
        queues.pass_by(episode, path, SPEED, line, first, until=22.3, gap_s=(2.4, 5.0))
    return waiting


def _people_cross(episode: Episode, at_least: int) -> list[str]:
    ids: list[str] = []
    for _ in range(episode.count(at_least, 4)):
        start, end = (NEAR_KERB - 0.9, FAR_KERB + 1.2) if episode.chance(0.5) else (FAR_KERB + 0.9, NEAR_KERB - 1.2)
        x, arrives, goes = episode.between(-1.7, 1.7), episode.between(-5, -1), episode.between(0.2, 1.2)
        ids.append(_walker(episode, x, start, end, arrives, goes))
    return ids


def _walker(
    episode: Episode, x: float, start: float, end: float, arrives: float, goes: float, speed: float = 1.45
) -> str:
    """Somebody who comes along the pavement, waits at the kerb, crosses at ``x`` and walks on."""
    came, leaves = episode.rng.choice([-30.0, 30.0], 2).tolist()
    away = 1.2 if end > start else -1.2
    path = Path((came, start - away), (x, start - away), (x, start), (x, end), (x, end + away), (leaves, end + away))
    return episode.send("person", path, speed, abs(came - x) + 1.2, at=arrives, until=goes)


def _run_the_red(episode: Episode, lane: int, crossers: list[str]) -> None:
    """A vehicle does not stop while people are in the middle of the crossing."""
    # At 7.2 those who started from either side by 1.2 are at the middle, between the lanes.
    y, direction = LANES[lane]
    runner = episode.send("car" if episode.chance(0.7) else "motorcycle", along(direction, y), 8.0, REACH, at=7.2)
    episode.endanger("high", "red_light_running", [runner, *crossers], at=4.8, until=8.4)


def _jaywalk(episode: Episode) -> None:
    """Somebody crosses away from the crossing, through moving traffic."""
    x, starts = episode.between(7, 10) * (1 if episode.chance(0.5) else -1), episode.between(13.0, 14.0)
    person = _walker(episode, x, NEAR_KERB - 0.9, FAR_KERB + 1.2, arrives=starts - 4, goes=starts, speed=1.8)
    members = [person]
    for lane, seconds in ((0, 3.9), (1, 7.0)):
        # One vehicle passes each lane's middle just behind the walker's back.
        y, direction = LANES[lane]
        passes = starts + seconds + 0.9
        members.append(episode.send("car", along(direction, y), SPEED, REACH + direction * x, at=passes))
    episode.endanger("high", "pedestrian_in_traffic", members, at=starts + 2.0, until=starts + 8.6)


def _late_runner(episode: Episode, front: list[str]) -> None:
    """Somebody runs over the crossing as the vehicles get green."""
    runner = _walker(
        episode, episode.between(-1.5, 1.5), NEAR_KERB - 0.9, FAR_KERB + 1.2, arrives=2.0, goes=7.4, speed=3.0
    )
    episode.endanger("medium", "late_crossing", [runner, *front], at=8.6, until=12.6)


def _wait_on_the_road(episode: Episode) -> None:
    """People wait for green on the road instead of on the kerb."""
    x, waits = episode.between(3.0, 5.5), 13.0 + episode.between(0, 2)
    members = [
        _walker(episode, x + 0.8 * i, NEAR_KERB + 0.35, FAR_KERB + 1.2, arrives=waits, goes=CYCLE_S + 0.5 + i)
        for i in (0, 1)
    ]
    episode.endanger("low", "waiting_on_carriageway", members, at=waits, until=CYCLE_S)


def _cyclists(episode: Episode) -> None:
    for y, direction in CYCLE_LANES:
        line = REACH - STOP_LINE
        if episode.chance(0.5):
            episode.send("bicycle", along(direction, y), 4.8, line - 1.0, at=episode.between(1.0, 4.0), until=10.8)
        if episode.chance(0.4):
            episode.send("bicycle", along(direction, y), 5.0, line, at=episode.between(15.0, 20.0))


def pavement_walkers(episode: Episode, cycle_s: float, busy: int = 2) -> None:
    """People who just walk along, alone or in twos."""
    for _ in range(episode.count(1, busy)):
        direction = 1 if episode.chance(0.5) else -1
        y = episode.between(20.2, 21.4) if episode.chance(0.5) else episode.between(38.6, 40.4)
        at, speed = episode.between(0, cycle_s), episode.between(1.15, 1.5)
        for i in range(episode.count(1, 2)):
            path = Path((-30 * direction, y + 0.7 * i), (30 * direction, y + 0.7 * i))
            episode.send("person", path, speed, 30 + 0.4 * i, at=at)


MOUNT = Mount((0, 29.0), 30.0, 11.5, yaws=(-0.3, 0.0, 0.3), focal=0.88)
SETTING = Setting(CYCLE_S, PAVEMENT, MOUNT, paint, write)
