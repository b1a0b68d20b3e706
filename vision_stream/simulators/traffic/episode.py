"""A scene's script, one cycle at a time: who comes along, and which situations become dangerous."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vision_stream.simulators.traffic.camera import Camera
from vision_stream.simulators.traffic.canvas import Colour
from vision_stream.simulators.traffic.ground import GroundPainter
from vision_stream.simulators.traffic.motion import Path, Trip
from vision_stream.simulators.traffic.truth import Danger, DangerLevel, Label


class Episode:
    """One cycle of a scene, being written. Times are seconds after the cycle's start.

    Only ``rng`` decides what is random, so that the same scene, seed and cycle always give the same script.
    """

    def __init__(self, cycle: int, start: float, rng: np.random.Generator) -> None:
        self.cycle = cycle
        self.start = start
        self.rng = rng
        self.trips: list[Trip] = []
        self.dangers: list[tuple[Danger, float]] = []  # each with its end

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, labels: tuple[Label, ...]) -> Label:
        return labels[int(self.rng.integers(len(labels)))]

    def send(
        self,
        label: Label,
        path: Path,
        speed: float,
        at_m: float,
        at: float,
        until: float | None = None,
        look: int | None = None,
        backwards: bool = False,
        visible: tuple[float, float] | None = None,
    ) -> str:
        """Somebody follows ``path`` and passes ``at_m`` metres at ``at``, or halts there until ``until``; its id."""
        actor_id = f"{self.cycle}-{len(self.trips)}-{label}"
        look = int(self.rng.integers(900)) if look is None else look
        seen = (self.start + visible[0], self.start + visible[1]) if visible else (-np.inf, np.inf)
        halt_until = None if until is None else self.start + until
        self.trips.append(Trip(actor_id, label, look, path, speed, at_m, self.start + at, halt_until, backwards, seen))
        return actor_id

    def endanger(self, level: DangerLevel, risk_type: str, members: list[str], at: float, until: float) -> None:
        """These actors are in danger from ``at`` to ``until``."""
        danger_id = f"{self.cycle}-{risk_type}-{len(self.dangers)}"
        danger = Danger(danger_id, level, risk_type, tuple(members), self.start + at)
        self.dangers.append((danger, self.start + until))


class Mount(NamedTuple):
    """Where a scene's camera hangs, in metres; ``yaws`` (radians) to choose from; ``focal`` as in ``Camera``."""

    target: tuple[float, float]
    distance: float
    height: float
    yaws: tuple[float, ...]
    focal: float

    def camera(self, rng: np.random.Generator, width: int, height: int) -> Camera:
        """The camera for pictures of that size; each seed hangs it a bit differently."""
        angle = float(rng.choice(self.yaws)) + rng.uniform(-0.12, 0.12)
        away = self.distance * rng.uniform(0.94, 1.06)
        x, y = self.target[0] - away * np.sin(angle), self.target[1] - away * np.cos(angle)
        return Camera((x, y, self.height * rng.uniform(0.92, 1.12)), (*self.target, 0.0), self.focal, width, height)


class Setting(NamedTuple):
    """What makes one scene: the length of its script's cycle, its camera, what stands there, what happens."""

    cycle_s: float
    base_colour: Colour
    mount: Mount
    paint: Callable[[GroundPainter], None]
    write: Callable[[Episode], None]
