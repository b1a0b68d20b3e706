"""The picture's unmoving part: ground, roads, markings, houses, trees and fences, painted once for a scene."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.camera import Camera
from vision_stream.simulators.traffic.canvas import SUBPIXEL_BITS, Colour, Image, fixed_point, lit, tinted
from vision_stream.simulators.traffic.light import Light

ASPHALT: Colour = (92, 90, 88)
PAVEMENT: Colour = (150, 152, 154)
KERB: Colour = (178, 180, 182)
GRASS: Colour = (84, 112, 100)
EARTH: Colour = (112, 134, 152)
WHITE: Colour = (216, 218, 218)
HOUSES: tuple[Colour, ...] = (
    (142, 154, 168),
    (150, 160, 164),
    (120, 130, 152),
    (164, 166, 166),
    (118, 138, 156),
)

Point = tuple[float, float]  # x y on the ground, in metres


class GroundPainter:
    """Paints in metres through a camera, far things first."""

    def __init__(self, camera: Camera, light: Light, rng: np.random.Generator, base: Colour) -> None:
        self.rng = rng
        self._camera = camera
        self._light = light
        self.image = np.empty((camera.height, camera.width, 3), np.uint8)
        self.image[:] = self._lit(base)

    def area(self, corners: Sequence[Point], colour: Colour, z: float = 0.0) -> None:
        """A flat convex area."""
        self._fill(self._camera.project_polygon(corners, z), self._lit(colour))

    def strip(self, start: Point, end: Point, width: float, colour: Colour = WHITE) -> None:
        """A straight band of that width in metres."""
        (x0, y0), (x1, y1) = start, end
        along = np.array([x1 - x0, y1 - y0])
        nx, ny = (np.array([-along[1], along[0]]) / np.linalg.norm(along) * width / 2).tolist()
        self.area([(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)], colour)

    def dashes(
        self,
        start: Point,
        end: Point,
        width: float = 0.15,
        dash: float = 2.0,
        gap: float = 3.0,
        colour: Colour = WHITE,
    ) -> None:
        """A broken line."""
        a, b = np.array(start), np.array(end)
        length = float(np.linalg.norm(b - a))
        for s in np.arange(0, length, dash + gap):
            p, q = a + (b - a) * s / length, a + (b - a) * min(s + dash, length) / length
            self.strip((p[0], p[1]), (q[0], q[1]), width, colour)

    def zebra(self, x: tuple[float, float], y: tuple[float, float], bars_along_x: bool) -> None:
        """A pedestrian crossing in a rectangle; its bars lie along the traffic."""
        across = y if bars_along_x else x
        for s in np.arange(across[0] + 0.35, across[1] - 0.3, 1.1):
            if bars_along_x:
                self.area([(x[0], s), (x[1], s), (x[1], s + 0.55), (x[0], s + 0.55)], WHITE)
            else:
                self.area([(s, y[0]), (s, y[1]), (s + 0.55, y[1]), (s + 0.55, y[0])], WHITE)

    def houses(self, x: tuple[float, float], y: float) -> None:
        """A row of houses that face the camera, far enough away that nobody walks behind them."""
        left = x[0]
        while left < x[1]:
            width, height = self.rng.uniform(7, 13), self.rng.uniform(6, 12)
            self._house(left, min(left + width, x[1]), y, height, HOUSES[int(self.rng.integers(len(HOUSES)))])
            left += width + 0.1

    def tree(self, x: float, y: float) -> None:
        """A round tree with its trunk and shadow."""
        height = self.rng.uniform(3.0, 4.6)
        ring = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        dx, dy = self._light.shadow_of(height).tolist()
        blob = [(x + dx + 1.3 * np.cos(a), y + dy + 1.3 * np.sin(a)) for a in ring]
        self._fill(self._camera.project_polygon(blob), self._lit((70, 84, 80)))
        scale = self._camera.pixels_per_metre((x, y, height))
        (foot, top), _ = self._camera.project(np.array([[x, y, 0.0], [x, y, height]]))
        cv2.line(
            self.image,
            _ints(foot),
            _ints(top),
            self._lit((62, 78, 92)),
            max(1, round(0.22 * scale)),
            cv2.LINE_AA,
        )
        for i in range(14):
            offset = self.rng.normal(0, 0.45, 2) * scale
            green = np.array([62, 96, 82]) * self.rng.uniform(0.75, 1.15) * (0.8 + 0.025 * i)
            cv2.circle(
                self.image,
                _ints(top + offset),
                max(1, round(0.75 * scale)),
                self._lit(tuple(green.tolist())),
                -1,
                cv2.LINE_AA,
            )

    def fence(self, start: Point, end: Point, height: float, colour: Colour) -> None:
        """A low wall or hoarding with posts."""
        a, b = np.array([*start, 0.0]), np.array([*end, 0.0])
        up = np.array([0, 0, height])
        self._fill(self._camera.project(np.array([a, b, b + up, a + up]))[0], self._lit(colour))
        for s in np.linspace(0, 1, max(2, round(float(np.linalg.norm(b - a)) / 2.5))):
            post = a + (b - a) * s
            (p, q), _ = self._camera.project(np.array([post, post + up]))
            cv2.line(self.image, _ints(p), _ints(q), self._lit(tinted(colour, 0.75)), 2, cv2.LINE_AA)

    def block(self, x: tuple[float, float], y: tuple[float, float], height: float, colour: Colour) -> None:
        """A container or a heap's plain stand-in: front, both flanks, top."""
        front = [(x[0], y[0], 0), (x[1], y[0], 0), (x[1], y[0], height), (x[0], y[0], height)]
        for end in (0, 1):
            flank = [(x[end], y[0], 0), (x[end], y[1], 0), (x[end], y[1], height), (x[end], y[0], height)]
            self._fill(
                self._camera.project(np.array(flank, dtype=float))[0],
                self._lit(tinted(colour, 0.7)),
            )
        self._fill(self._camera.project(np.array(front, dtype=float))[0], self._lit(tinted(colour, 0.85)))
        self.area([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], colour, z=height)

    def finish(self) -> Image:
        """The picture, with the grain of real surfaces. Shape (height, width, 3)."""
        h, w = self.image.shape[:2]
        blotches = cv2.resize(
            self.rng.normal(0, 1.6, (h // 24, w // 24)).astype(np.float32),
            (w, h),
            interpolation=cv2.INTER_CUBIC,
        )
        grain = self.rng.normal(0, 1.8, (h, w)).astype(np.float32)
        return np.clip(self.image + (blotches + grain)[:, :, None], 0, 255).astype(np.uint8)

    def _house(self, x0: float, x1: float, y: float, height: float, colour: Colour) -> None:
        self._wall([(x0, 0), (x1, 0), (x1, height), (x0, height)], y, colour)
        for floor in np.arange(0.9, height - 1.6, 2.9):
            for x in np.arange(x0 + 0.9, x1 - 1.5, 2.2):
                self._wall([(x, floor), (x + 1.2, floor), (x + 1.2, floor + 1.5), (x, floor + 1.5)], y, (104, 92, 82))

    def _wall(self, corners: Sequence[Point], y: float, colour: Colour) -> None:
        pixels, depth = self._camera.project(np.array([(x, y, z) for x, z in corners], dtype=float))
        if depth.min() > 1:
            self._fill(pixels, self._lit(colour))

    def _fill(self, pixels: NDArray[np.float64], colour: tuple[float, float, float]) -> None:
        if len(pixels) >= 3:
            cv2.fillConvexPoly(self.image, fixed_point(pixels), colour, cv2.LINE_AA, SUBPIXEL_BITS)

    def _lit(self, colour: Colour) -> tuple[float, float, float]:
        level = self._light.ambient + self._light.direct * float(self._light.sun[2])
        return lit(colour, level * self._light.gain)


def _ints(point: NDArray[np.float64]) -> tuple[int, int]:
    return int(point[0]), int(point[1])
