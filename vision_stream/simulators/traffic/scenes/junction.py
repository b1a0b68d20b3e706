"""Two streets that meet under signals: first the one towards the camera, then the one across.

A cycle: the street along y drives from second 0 to 11, the street along x from 15 to 26. People cross the right arm
in the first part and the near arm in the second.
"""

from __future__ import annotations

from vision_stream.simulators.traffic import queues
from vision_stream.simulators.traffic.episode import Episode, Mount, Setting
from vision_stream.simulators.traffic.ground import ASPHALT, KERB, PAVEMENT, GroundPainter
from vision_stream.simulators.traffic.motion import Path, turn

CYCLE_S = 30.0
MIDDLE = 33.0  # y
HALF = 5.0  # half the width of each street
LANE = 2.4  # from a street's middle to a lane's
REACH = 48.0
SPEED = 8.5
LINE = HALF + 4.6  # stop lines, from the middle
ZEBRA = (HALF + 0.6, HALF + 3.6)

NORTH = Path((LANE, MIDDLE - REACH), (LANE, MIDDLE + REACH))
SOUTH = Path((-LANE, MIDDLE + REACH), (-LANE, MIDDLE - REACH))
EAST = Path((-REACH, MIDDLE - LANE), (REACH, MIDDLE - LANE))
WEST = Path((REACH, MIDDLE + LANE), (-REACH, MIDDLE + LANE))
NORTH_TO_EAST = Path(
    (LANE, MIDDLE - REACH),
    *turn((LANE, MIDDLE - 7.5), (LANE, MIDDLE - LANE), (7.5, MIDDLE - LANE)),
    (REACH, MIDDLE - LANE),
)
BESIDE_NORTH_TO_EAST = Path(
    (HALF - 0.7, MIDDLE - REACH), (HALF - 0.7, MIDDLE + REACH)
)  # cyclists keep right, and go straight on


def paint(ground: GroundPainter) -> None:
    far, low, high = REACH + 30, MIDDLE - HALF, MIDDLE + HALF
    ground.houses((-far, -HALF - 6.5), high + 9.0)
    ground.houses((HALF + 6.5, far), high + 9.0)
    ground.area([(-far, low), (far, low), (far, high), (-far, high)], ASPHALT)
    ground.area([(-HALF, -10), (HALF, -10), (HALF, 130), (-HALF, 130)], ASPHALT)
    for side in (-1, 1):
        for y in (low, high):
            ground.strip((side * HALF, y), (side * far, y), 0.3, KERB)
        ground.strip((side * HALF, -10), (side * HALF, low), 0.3, KERB)
        ground.strip((side * HALF, high), (side * HALF, 130), 0.3, KERB)
        ground.dashes((side * LINE, MIDDLE), (side * far, MIDDLE))
        ground.dashes((0, MIDDLE + side * LINE), (0, MIDDLE + side * 80))
        ground.strip((side * LINE, MIDDLE - side * 0.2), (side * LINE, MIDDLE + side * (HALF - 0.3)), 0.4)
        ground.strip((side * 0.2, MIDDLE - side * LINE), (side * (HALF - 0.3), MIDDLE - side * LINE), 0.4)
    ground.zebra(ZEBRA, (low, high), bars_along_x=True)
    ground.zebra((-HALF, HALF), (MIDDLE - ZEBRA[1], MIDDLE - ZEBRA[0]), bars_along_x=False)
    for x in (-24, -16, 15, 24):
        ground.tree(float(x + ground.rng.uniform(-2, 2)), high + 6.5)


def write(episode: Episode) -> None:
    high = episode.count(1, 3) if episode.chance(0.9) else 0
    squeeze = episode.chance(0.5)
    # Who is about to break the rules has its street to itself: simulated drivers do not look out for each other.
    if high != 1:
        _approach(episode, NORTH, first_go=0.6, passes_until=8.0)
    _approach(episode, SOUTH, first_go=0.6, passes_until=5.5 if squeeze else 9.5)
    if high != 3:
        _approach(episode, EAST, first_go=15.4 if high != 2 else 17.0, passes_until=24.5)
    west = _approach(episode, WEST, first_go=15.4 if high != 2 else 17.4, passes_until=19.5 if high == 3 else 24.5)
    right_arm = _cross_right_arm(episode, at_least=2 if high == 1 else 0)
    _cross_near_arm(episode)
    if high == 1:
        _turn_into_people(episode, right_arm)
    elif high == 2:
        _run_the_red(episode, west)
    elif high == 3:
        _jaywalk(episode)
    if squeeze:
        _squeeze_a_cyclist(episode)
    if episode.chance(0.5):
        _linger_on_the_corner(episode)
    _pavement(episode)


def _approach(episode: Episode, path: Path, first_go: float, passes_until: float) -> list[str]:
    """A queue at the stop line, then a few that pass while it is green; the ids of the queue."""
    line = REACH - LINE
    first_halts = first_go - episode.between(6.0, 9.0)
    count = episode.count(0, 2)
    waiting = queues.wait(episode, path, SPEED, line, count, first_halts, first_go)
    first = first_go + queues.NEXT_S * count + 4.0
    queues.pass_by(episode, path, SPEED, line, first, passes_until, gap_s=(2.6, 6.0))
    return waiting


def _cross_right_arm(episode: Episode, at_least: int) -> list[str]:
    ids: list[str] = []
    for _ in range(episode.count(at_least, 3)):
        x, up = episode.between(ZEBRA[0] + 0.3, ZEBRA[1] - 0.3), episode.chance(0.5)
        ends = (MIDDLE - HALF - 0.9, MIDDLE + HALF + 1.0)
        start, end = ends if up else ends[::-1]
        path = Path((x + 24, start), (x, start), (x, end), (x + 24, end))
        ids.append(episode.send("person", path, 1.4, 24.0, at=episode.between(-4, -1), until=episode.between(0.8, 2.0)))
    return ids


def _cross_near_arm(episode: Episode) -> None:
    for _ in range(episode.count(0, 4)):
        y, right = MIDDLE - episode.between(ZEBRA[0] + 0.3, ZEBRA[1] - 0.3), episode.chance(0.5)
        start, end = (-HALF - 0.9, HALF + 1.0) if right else (HALF + 0.9, -HALF - 1.0)
        path = Path((start, 8.0), (start, y), (end, y), (end + (22 if right else -22), y))
        episode.send("person", path, 1.4, y - 8.0, at=episode.between(9, 14), until=episode.between(15.6, 17.5))


def _turn_into_people(episode: Episode, crossers: list[str]) -> None:
    """A truck or car turns right while people cross the arm that it turns into."""
    label = "truck" if episode.chance(0.5) else "car"
    # It reaches the crossing at 6.3: those who started by 2 are then at or past the middle of the street.
    reaches = NORTH_TO_EAST.length - REACH + ZEBRA[0]
    vehicle = episode.send(label, NORTH_TO_EAST, 5.5, reaches, at=6.3)
    episode.endanger("high", "turning_into_pedestrians", [vehicle, *crossers], at=3.6, until=7.8)


def _run_the_red(episode: Episode, waiting: list[str]) -> None:
    """A car comes late from the camera's side as the cross street gets green."""
    runner = episode.send("car" if episode.chance(0.7) else "motorcycle", NORTH, 9.5, REACH, at=16.6)
    crosser = episode.send(
        "bicycle", Path((REACH, MIDDLE + 4.2), (-REACH, MIDDLE + 4.2)), 4.5, REACH - 6.5, at=8.0, until=15.6
    )
    episode.endanger("high", "red_light_running", [runner, crosser, *waiting[:1]], at=14.6, until=18.2)


def _jaywalk(episode: Episode) -> None:
    """Somebody walks straight over the middle of the junction."""
    starts = episode.between(16.0, 17.0)
    path = Path(
        (-HALF - 12, MIDDLE - HALF - 1.5),
        (-HALF - 0.8, MIDDLE - HALF - 0.8),
        (HALF + 0.8, MIDDLE + HALF + 0.8),
        (HALF + 14, MIDDLE + HALF + 1.5),
    )
    corner = 11.2
    person = episode.send("person", path, 1.7, corner, at=starts - 4, until=starts)
    # At 6 m from the corner the walker leaves the near lane; a car passes it there 1.4 s later.
    car = episode.send("car", EAST, SPEED, REACH - HALF + 3.2, at=starts + 6.2)
    episode.endanger("high", "pedestrian_in_traffic", [person, car], at=starts + 2.0, until=starts + 8.0)


def _squeeze_a_cyclist(episode: Episode) -> None:
    """A bus or truck overtakes a cyclist with hardly any room."""
    label = "bus" if episode.chance(0.5) else "truck"
    at = 10.4
    wide = episode.send(label, SOUTH, 7.0, REACH + 8, at=at + 1.6)
    cyclist = episode.send(
        "bicycle",
        Path((-HALF + 0.6, MIDDLE + REACH), (-HALF + 0.6, MIDDLE - REACH)),
        4.4,
        REACH + 8,
        at=at + 1.2,
    )
    episode.endanger("medium", "close_overtaking", [wide, cyclist], at=at - 1.2, until=at + 3.6)


def _linger_on_the_corner(episode: Episode) -> None:
    """Somebody stands on the edge of the carriageway."""
    x = -HALF + 0.5
    path = Path((-26, MIDDLE - HALF - 2), (x, MIDDLE - HALF - 0.9), (-26, MIDDLE - HALF - 1.4))
    at = episode.between(14, 17)
    person = episode.send("person", path, 1.3, abs(x + 26) + 0.02, at=at, until=at + 9)
    episode.endanger("low", "standing_on_carriageway", [person], at=at, until=at + 9)


def _pavement(episode: Episode) -> None:
    for _ in range(episode.count(0, 2)):
        y = MIDDLE + HALF + episode.between(2.0, 4.5)
        side, at = (1 if episode.chance(0.5) else -1), episode.between(0, CYCLE_S)
        for i in range(episode.count(1, 2)):
            path = Path(
                (side * 34, y + 0.7 * i),
                (side * (HALF + 2.5), y + 0.7 * i),
                (side * (HALF + 2.5 + 0.7 * i), y + 14),
            )
            episode.send("person", path, 1.3, 16.0, at=at)


MOUNT = Mount((1.5, 31.0), 31.0, 14.5, yaws=(-0.3, 0.3), focal=0.82)
SETTING = Setting(CYCLE_S, PAVEMENT, MOUNT, paint, write)
