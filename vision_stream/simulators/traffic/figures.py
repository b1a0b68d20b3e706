"""Draws people, cyclists and motorcyclists: lines for limbs, a hull for the torso, discs for the head."""

from __future__ import annotations

from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.camera import NEAR_M, Camera
from vision_stream.simulators.traffic.canvas import SUBPIXEL_BITS, Box, Colour, Image, fixed_point, lit
from vision_stream.simulators.traffic.light import Light
from vision_stream.simulators.traffic.motion import Pose, place
from vision_stream.simulators.traffic.people import Build, Head
from vision_stream.simulators.traffic.vehicles import TYRE

HEIGHT_M = 1.7  # of everybody, as far as shadows are concerned
CHEST_M = 0.16  # from breast to back
CLOTHES_M = 0.06  # how far clothes reach beyond the lines of the limbs
RIM_ANGLES = [i * pi / 6 for i in range(12)]


class Figure:
    """A build that stands somewhere, as the camera sees it."""

    def __init__(self, build: Build, camera: Camera, pose: Pose) -> None:
        self._build = build
        # In this order: the wheels' rims, the limbs' ends, the torso's corners, the head.
        rims = [(w.x + w.radius * cos(a), 0.0, w.radius + w.radius * sin(a)) for w in build.wheels for a in RIM_ANGLES]
        ends = [end for limb in build.limbs for end in (limb.start, limb.end)]
        points = np.array([*rims, *ends, *build.torso, build.head.centre], dtype=np.float64)
        self._pixels, depth = camera.project(place(points, pose))
        self._visible = bool(depth.min() >= NEAR_M)
        self._scale = camera.focal_px / float(depth[-1])  # pixels a metre

    def box(self) -> Box | None:
        """The box around its picture, not cut at the frame; ``None`` when it reaches behind the lens."""
        if not self._visible:
            return None
        pad, crown = CLOTHES_M * self._scale, self._build.head.radius * self._scale
        (x1, y1), (x2, y2) = (
            (self._pixels.min(axis=0) - pad).tolist(),
            (self._pixels.max(axis=0) + pad).tolist(),
        )
        head_x, head_y = self._pixels[-1].tolist()
        return min(x1, head_x - crown), min(y1, head_y - crown), max(x2, head_x + crown), y2

    def draw(self, image: Image, light: Light) -> None:
        shade = (light.ambient + 0.6 * light.direct) * light.gain
        fixed = fixed_point(self._pixels)
        rims, limbs = len(self._build.wheels) * len(RIM_ANGLES), 2 * len(self._build.limbs)
        self._draw_wheels(image, fixed[:rims], shade)
        self._draw_limbs(image, fixed[rims : rims + limbs], shade)
        self._draw_torso(image, fixed[rims + limbs : -1], lit(self._build.top, shade))
        self._draw_head(image, fixed[-1].tolist(), self._build.head, shade)

    def _draw_wheels(self, image: Image, rims: NDArray[np.int32], shade: NDArray[np.float64]) -> None:
        for wheel, rim in zip(self._build.wheels, rims.reshape(-1, len(RIM_ANGLES), 1, 2), strict=True):
            width = self._px(wheel.thickness)
            cv2.polylines(image, [rim], True, lit(TYRE, shade), width, cv2.LINE_AA, SUBPIXEL_BITS)

    def _draw_limbs(self, image: Image, ends: NDArray[np.int32], shade: NDArray[np.float64]) -> None:
        for limb, (start, end) in zip(self._build.limbs, ends.reshape(-1, 2, 2).tolist(), strict=True):
            width = self._px(limb.thickness)
            cv2.line(image, start, end, lit(limb.colour, shade), width, cv2.LINE_AA, SUBPIXEL_BITS)

    def _draw_torso(self, image: Image, corners: NDArray[np.int32], colour: Colour) -> None:
        hull = cv2.convexHull(corners)
        cv2.fillConvexPoly(image, hull, colour, cv2.LINE_AA, SUBPIXEL_BITS)
        # Its outline too, as thick as a chest: seen from the side the hull alone is a line.
        cv2.polylines(image, [hull], True, colour, self._px(CHEST_M), cv2.LINE_AA, SUBPIXEL_BITS)

    def _draw_head(self, image: Image, at: list[int], head: Head, shade: NDArray[np.float64]) -> None:
        radius = head.radius * self._scale * (1 << SUBPIXEL_BITS)
        face, cap = (at[0], at[1]), (at[0], round(at[1] - 0.3 * radius))
        cv2.circle(image, face, round(radius), lit(head.face, shade), -1, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.circle(image, cap, round(0.82 * radius), lit(head.cap, shade), -1, cv2.LINE_AA, SUBPIXEL_BITS)

    def _px(self, metres: float) -> int:
        return max(1, round(metres * self._scale))
