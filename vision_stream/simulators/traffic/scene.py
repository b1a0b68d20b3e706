"""A traffic scene: a pure function of name, seed and time to a picture and its truth."""

from __future__ import annotations

from functools import lru_cache
from math import floor
from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.bodies import SUBPIXEL_BITS, Box, body_of, draw_body, outline, place
from vision_stream.simulators.traffic.camera import NEAR_M, Camera
from vision_stream.simulators.traffic.episode import Episode
from vision_stream.simulators.traffic.figures import figure_of, height_of
from vision_stream.simulators.traffic.ground import GroundPainter
from vision_stream.simulators.traffic.light import Light, light_of_day
from vision_stream.simulators.traffic.motion import Pose, Trip
from vision_stream.simulators.traffic.rings import RING_BGR
from vision_stream.simulators.traffic.scenes import SETTINGS
from vision_stream.simulators.traffic.truth import (
    DANGER_LEVELS,
    Actor,
    Danger,
    DangerLevel,
    Label,
    SceneTruth,
)

SCENE_NAMES = tuple(SETTINGS)

LONGEST_TRIP_CYCLES = (
    3  # An actor may be under way this long before or after its own cycle. Fewer: people vanish.
)
MIN_SHOWN = 0.4  # An actor with less of its box in the frame is not in the truth.
MIN_UNHIDDEN = 0.3  # Nor is one of whose box nearer actors hide more than the rest.
MIN_SIDES = (
    0.011,
    0.04,
)  # Nor one whose shorter or longer side is below these fractions of the frame's height.


class _Player(NamedTuple):
    trip: Trip
    pose: Pose
    box: Box
    depth: float


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
        if name not in SETTINGS:
            raise ValueError(f"unknown scene {name!r}: use one of {', '.join(SCENE_NAMES)}")
        if seed < 0:
            raise ValueError(f"seed is {seed}: use 0 or above")
        if not (160 <= width <= 7680 and 90 <= height <= 4320):
            raise ValueError(f"picture size {width}x{height}: use 160x90 to 7680x4320")
        if not 0 < fps <= 120:
            raise ValueError(f"fps is {fps:g}: use a number above 0 and up to 120")
        self.name, self.seed, self.width, self.height, self.fps = name, seed, width, height, fps
        self._setting = SETTINGS[name]
        self._entropy = (crc32(name.encode()), seed)
        rng = np.random.default_rng(self._entropy)
        self._light: Light = light_of_day(rng)
        self._camera: Camera = self._setting.camera(rng, width, height)
        ground = GroundPainter(self._camera, self._light, rng, self._setting.base_colour)
        self._setting.paint(ground)
        self._background = ground.finish()
        self._in_shadow = cv2.convertScaleAbs(self._background, alpha=self._light.shadow)
        self._episode = lru_cache(maxsize=16)(self._write_episode)

    def render(self, t: float) -> NDArray[np.uint8]:
        """The picture at ``t`` seconds (>= 0): BGR, shape (height, width, 3)."""
        players = self._players(t)
        levels = self._levels(t, players)
        image = self._background.copy()
        self._draw_shadows(image, players)
        for player in sorted(players, key=lambda p: -p.depth):
            if level := levels.get(player.trip.actor_id):
                self._draw_ring(image, player, RING_BGR[level])
            self._draw(image, player, t)
        return image

    def truth(self, t: float) -> SceneTruth:
        """Who can be seen at ``t`` seconds (>= 0), and what is dangerous."""
        players = self._players(t)
        actors = tuple(
            Actor(p.trip.actor_id, p.trip.label, self._cut(p.box))
            for p in players
            if self._can_be_seen(p, players)
        )
        seen = {actor.id for actor in actors}
        dangers = []
        for danger in self._dangers(t):
            members = tuple(m for m in danger.members if m in seen)
            if members:
                dangers.append(Danger(danger.id, danger.level, danger.risk_type, members, danger.started_at))
        return SceneTruth(t, actors, tuple(dangers))

    def _players(self, t: float) -> list[_Player]:
        """Everybody whose box touches the frame."""
        players: list[_Player] = []
        for episode in self._episodes_around(t):
            for trip in episode.trips:
                pose = trip.pose(t)
                box = None if pose is None else self._box(trip, pose, t)
                if (
                    pose
                    and box
                    and box[0] < self.width
                    and box[2] > 0
                    and box[1] < self.height
                    and box[3] > 0
                ):
                    _, depth = self._camera.project(np.array([[pose.x, pose.y, 0.0]]))
                    players.append(_Player(trip, pose, box, float(depth[0])))
        return players

    def _episodes_around(self, t: float) -> list[Episode]:
        now = floor(t / self._setting.cycle_s)
        return [self._episode(c) for c in range(now - LONGEST_TRIP_CYCLES, now + LONGEST_TRIP_CYCLES + 1)]

    def _write_episode(self, cycle: int) -> Episode:
        # Cycles before time 0 exist too, so that a scene does not start empty; seeds must not be negative.
        rng = np.random.default_rng((*self._entropy, cycle + 1000))
        episode = Episode(cycle, cycle * self._setting.cycle_s, rng)
        self._setting.write(episode)
        return episode

    def _box(self, trip: Trip, pose: Pose, t: float) -> Box | None:
        if _is_vehicle(trip.label):
            return outline(self._camera, body_of(trip.label, trip.look), pose)
        return figure_of(trip.label, trip.look, self._camera, pose, trip.halted(t)).box()

    def _cut(self, box: Box) -> Box:
        return (
            max(box[0], 0.0),
            max(box[1], 0.0),
            min(box[2], float(self.width)),
            min(box[3], float(self.height)),
        )

    def _can_be_seen(self, player: _Player, players: list[_Player]) -> bool:
        x1, y1, x2, y2 = shown = self._cut(player.box)
        shorter, longer = sorted((x2 - x1, y2 - y1))
        too_small = shorter < MIN_SIDES[0] * self.height or longer < MIN_SIDES[1] * self.height
        if too_small or _area(shown) < MIN_SHOWN * _area(player.box):
            return False
        hidden = max((_overlap(shown, p.box) for p in players if p.depth < player.depth), default=0.0)
        return hidden <= (1 - MIN_UNHIDDEN) * _area(shown)

    def _dangers(self, t: float) -> list[Danger]:
        return [
            d
            for episode in self._episodes_around(t)
            for d, until in episode.dangers
            if d.started_at <= t < until
        ]

    def _levels(self, t: float, players: list[_Player]) -> dict[str, DangerLevel]:
        """The highest level of each actor that can be seen and is in danger."""
        levels: dict[str, DangerLevel] = {}
        seen = {p.trip.actor_id for p in players if self._can_be_seen(p, players)}
        for danger in sorted(self._dangers(t), key=lambda d: DANGER_LEVELS.index(d.level)):
            levels.update((m, danger.level) for m in danger.members if m in seen)
        return levels

    def _draw(self, image: NDArray[np.uint8], player: _Player, t: float) -> None:
        trip, pose = player.trip, player.pose
        if _is_vehicle(trip.label):
            draw_body(image, self._camera, body_of(trip.label, trip.look), pose, self._light)
        else:
            figure_of(trip.label, trip.look, self._camera, pose, trip.halted(t)).draw(image, self._light)

    def _draw_shadows(self, image: NDArray[np.uint8], players: list[_Player]) -> None:
        mask = np.zeros((self.height, self.width), np.uint8)
        for player in players:
            footprint, height = _footprint(player.trip)
            low = place(footprint, player.pose)
            outline_m = np.concatenate([low, low + self._light.shadow_of(height)])
            pixels, depth = self._camera.project(np.column_stack([outline_m, np.zeros(len(outline_m))]))
            if depth.min() > NEAR_M:
                cv2.fillConvexPoly(mask, cv2.convexHull(np.round(pixels).astype(np.int32)), 255)
        cv2.copyTo(self._in_shadow, mask, image)

    def _draw_ring(self, image: NDArray[np.uint8], player: _Player, colour: tuple[int, int, int]) -> None:
        footprint, _ = _footprint(player.trip)
        radii = footprint.max(axis=0) * 1.2 + 0.45
        ring = place(_UNIT_CIRCLE * radii, player.pose)
        pixels, depth = self._camera.project(np.column_stack([ring, np.zeros(len(ring))]))
        if depth.min() > NEAR_M:
            fixed = np.round(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)
            thickness = max(2, round(self.height / 180))
            # On a dark edge, so that JPEG's coarse chroma does not mix the hue with bright paint.
            cv2.polylines(image, [fixed], True, (38, 38, 38), thickness + 2, cv2.LINE_AA, SUBPIXEL_BITS)
            cv2.polylines(image, [fixed], True, colour, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


_UNIT_CIRCLE = np.column_stack([f(np.linspace(0, 2 * np.pi, 28, endpoint=False)) for f in (np.cos, np.sin)])


def _is_vehicle(label: Label) -> bool:
    return label in ("car", "bus", "truck")


def _footprint(trip: Trip) -> tuple[NDArray[np.float64], float]:
    """Corners (4, 2) on the ground in the actor's own metres, and its height."""
    if _is_vehicle(trip.label):
        body = body_of(trip.label, trip.look)
        return body.footprint(), body.height
    half = (0.16, 0.2) if trip.label == "person" else (0.85, 0.2)
    return np.array(
        [[-half[0], -half[1]], [half[0], -half[1]], [half[0], half[1]], [-half[0], half[1]]]
    ), height_of(trip.label)


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    return _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
