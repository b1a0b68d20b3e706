"""A traffic scene: a pure function of name, seed and time to a picture and its truth."""

from __future__ import annotations

from functools import lru_cache
from math import floor
from zlib import crc32

import cv2
import numpy as np

from vision_stream.simulators.traffic.actors import StandingActor
from vision_stream.simulators.traffic.canvas import Box, Image
from vision_stream.simulators.traffic.episode import Episode
from vision_stream.simulators.traffic.ground import GroundPainter
from vision_stream.simulators.traffic.light import light_of_day
from vision_stream.simulators.traffic.scenes import SETTINGS
from vision_stream.simulators.traffic.truth import DANGER_LEVELS, Actor, Danger, DangerLevel, SceneTruth

SCENE_NAMES = tuple(SETTINGS)

LONGEST_TRIP_CYCLES = 3  # An actor may be under way this long before or after its own cycle. Fewer: people vanish.
MIN_SHOWN = 0.4  # An actor with less of its box in the frame is not in the truth.
MAX_HIDDEN = 0.7  # Nor is one of whose box a nearer actor hides more.
MIN_SIDES = (
    0.011,
    0.04,
)  # Nor one whose shorter or longer side is below these fractions of the frame's height.


class TrafficScene:
    """A road scene from a fixed camera, with a truth.

    Every method is a pure function of its time: any order, any number of times, the same pixels.

    Args:
        name: one of ``SCENE_NAMES``.
        seed: another seed is another camera position, light, houses and traffic.
        width, height: of the picture in pixels.
        fps: how often a source that plays the scene should render; the scene itself has no frame rate.
    """

    def __init__(
        self, name: str = "crossing", seed: int = 1, width: int = 1280, height: int = 720, fps: float = 10.0
    ) -> None:
        _check(name, seed, width, height, fps)
        self.name, self.seed, self.width, self.height, self.fps = name, seed, width, height, fps
        self._setting = SETTINGS[name]
        self._entropy = (crc32(name.encode()), seed)
        rng = np.random.default_rng(self._entropy)
        self._light = light_of_day(rng)
        self._camera = self._setting.mount.camera(rng, width, height)
        ground = GroundPainter(self._camera, self._light, rng, self._setting.base_colour)
        self._setting.paint(ground)
        self._background = ground.finish()
        self._in_shadow = cv2.convertScaleAbs(self._background, alpha=self._light.shadow)
        self._episode = lru_cache(maxsize=16)(self._write_episode)

    def render(self, t: float) -> Image:
        """The picture at ``t`` seconds (>= 0): BGR, shape (height, width, 3)."""
        actors = self._actors(t)
        levels = self._levels(t, self._seen(actors))
        image = self._background.copy()
        shadows = np.zeros((self.height, self.width), np.uint8)
        for actor in actors:
            actor.draw_shadow(shadows, self._light)
        cv2.copyTo(self._in_shadow, shadows, image)
        for actor in sorted(actors, key=lambda a: -a.depth):
            if level := levels.get(actor.id):
                actor.draw_ring(image, level)
            actor.draw(image, self._light)
        return image

    def truth(self, t: float) -> SceneTruth:
        """Who can be seen at ``t`` seconds (>= 0), and what is dangerous."""
        seen = self._seen(self._actors(t))
        dangers = []
        for danger in self._dangers(t):
            if members := tuple(m for m in danger.members if m in seen):
                dangers.append(Danger(danger.id, danger.level, danger.risk_type, members, danger.started_at))
        return SceneTruth(t, tuple(seen.values()), tuple(dangers))

    def _actors(self, t: float) -> list[StandingActor]:
        """Everybody whose box touches the frame."""
        actors: list[StandingActor] = []
        for episode in self._episodes_around(t):
            for trip in episode.trips:
                if pose := trip.pose(t):
                    actor = StandingActor(trip, pose, trip.halted(t), self._camera)
                    if actor.box and _area(self._cut(actor.box)) > 0:
                        actors.append(actor)
        return actors

    def _episodes_around(self, t: float) -> list[Episode]:
        now = floor(t / self._setting.cycle_s)
        return [self._episode(c) for c in range(now - LONGEST_TRIP_CYCLES, now + LONGEST_TRIP_CYCLES + 1)]

    def _write_episode(self, cycle: int) -> Episode:
        # Cycles before time 0 exist too, so that a scene does not start empty; seeds must not be negative.
        rng = np.random.default_rng((*self._entropy, cycle + 1000))
        episode = Episode(cycle, cycle * self._setting.cycle_s, rng)
        self._setting.write(episode)
        return episode

    def _seen(self, actors: list[StandingActor]) -> dict[str, Actor]:
        """By id: those of whom enough can be seen to count, with their boxes cut at the frame."""
        seen: dict[str, Actor] = {}
        for actor in actors:
            if actor.box is None:
                continue
            shown = self._cut(actor.box)
            hidden = max((_overlap(shown, a.box) for a in actors if a.box and a.depth < actor.depth), default=0.0)
            if self._is_large_enough(shown, actor.box) and hidden <= MAX_HIDDEN * _area(shown):
                seen[actor.id] = Actor(actor.id, actor.label, shown)
        return seen

    def _is_large_enough(self, shown: Box, whole: Box) -> bool:
        shorter, longer = sorted((shown[2] - shown[0], shown[3] - shown[1]))
        large = shorter >= MIN_SIDES[0] * self.height and longer >= MIN_SIDES[1] * self.height
        return large and _area(shown) >= MIN_SHOWN * _area(whole)

    def _cut(self, box: Box) -> Box:
        """The part of a box inside the frame."""
        return (
            max(box[0], 0.0),
            max(box[1], 0.0),
            min(box[2], float(self.width)),
            min(box[3], float(self.height)),
        )

    def _dangers(self, t: float) -> list[Danger]:
        return [d for episode in self._episodes_around(t) for d, until in episode.dangers if d.started_at <= t < until]

    def _levels(self, t: float, seen: dict[str, Actor]) -> dict[str, DangerLevel]:
        """The highest level of each actor that can be seen and is in danger."""
        levels: dict[str, DangerLevel] = {}
        for danger in sorted(self._dangers(t), key=lambda d: DANGER_LEVELS.index(d.level)):
            levels.update((member, danger.level) for member in danger.members if member in seen)
        return levels


def _check(name: str, seed: int, width: int, height: int, fps: float) -> None:
    if name not in SETTINGS:
        raise ValueError(f"unknown scene {name!r}: use one of {', '.join(SCENE_NAMES)}")
    if seed < 0:
        raise ValueError(f"seed is {seed}: use 0 or above")
    if not (160 <= width <= 7680 and 90 <= height <= 4320):
        raise ValueError(f"picture size {width}x{height}: use 160x90 to 7680x4320")
    if not 0 < fps <= 120:
        raise ValueError(f"fps is {fps:g}: use a number above 0 and up to 120")


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    return _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
