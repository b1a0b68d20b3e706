"""Solids with flat faces, drawn face by face: what vehicles are made of."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.camera import NEAR_M, Camera
from vision_stream.simulators.traffic.canvas import SUBPIXEL_BITS, Box, Colour, Image, fixed_point
from vision_stream.simulators.traffic.light import Light
from vision_stream.simulators.traffic.motion import Pose, place

Corners = NDArray[np.float64]  # (n, 3) in metres, anticlockwise as seen from outside
Face = tuple[Corners, Colour]


class Solid:
    """A solid in its own coordinates: x forward, y to its left, z up from the ground, in metres.

    Its faces are listed so that what is painted later never lies behind.
    """

    def __init__(self, faces: Sequence[Face], length: float, width: float, height: float) -> None:
        self.length, self.width, self.height = length, width, height
        ends = np.cumsum([len(corners) for corners, _ in faces]).tolist()
        self.spans = list(zip([0, *ends], ends, strict=False))
        self.vertices = np.concatenate([corners for corners, _ in faces])
        self.centres = np.array([corners.mean(axis=0) for corners, _ in faces])
        normals = np.array([np.cross(c[1] - c[0], c[2] - c[0]) for c, _ in faces])
        self.normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self.colours = np.array([colour for _, colour in faces])


class StandingSolid:
    """A solid that stands somewhere, as the camera sees it."""

    def __init__(self, solid: Solid, camera: Camera, pose: Pose) -> None:
        self._solid = solid
        self._pixels, self._depth = camera.project(place(solid.vertices, pose))
        c, s = cos(pose.heading), sin(pose.heading)
        self._own_axes = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        self._eye = self._own_axes @ (camera.position - (pose.x, pose.y, 0.0))

    def box(self) -> Box | None:
        """The box around its picture, not cut at the frame; ``None`` when it reaches behind the lens."""
        if self._depth.min() < NEAR_M:
            return None
        (x1, y1), (x2, y2) = self._pixels.min(axis=0).tolist(), self._pixels.max(axis=0).tolist()
        return x1, y1, x2, y2

    def draw(self, image: Image, light: Light) -> None:
        solid = self._solid
        faces_us = ((self._eye - solid.centres) * solid.normals).sum(axis=1) > 0
        brightness = light.brightness(solid.normals @ (self._own_axes @ light.sun))
        colours = np.minimum(solid.colours * brightness[:, None] * light.gain, 255).tolist()
        fixed = fixed_point(self._pixels)
        for face in np.flatnonzero(faces_us):
            start, end = solid.spans[face]
            cv2.fillConvexPoly(image, fixed[start:end], colours[face], cv2.LINE_AA, SUBPIXEL_BITS)


def block(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], shrink: tuple[float, float, float]
) -> dict[str, Corners]:
    """The sides of a block whose top is smaller by ``shrink`` metres at the rear, the front and each flank."""
    rear, front, flank = shrink
    low = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
    high = [
        (x[0] + rear, y[0] + flank),
        (x[1] - front, y[0] + flank),
        (x[1] - front, y[1] - flank),
        (x[0] + rear, y[1] - flank),
    ]
    b = [(*p, z[0]) for p in low]
    t = [(*p, z[1]) for p in high]
    sides = {"right": (b[0], b[1], t[1], t[0]), "front": (b[1], b[2], t[2], t[1]), "left": (b[2], b[3], t[3], t[2]),
             "rear": (b[3], b[0], t[0], t[3]), "top": (t[0], t[1], t[2], t[3])}  # fmt: skip
    return {name: np.array(corners) for name, corners in sides.items()}


def pane(side: Corners, u0: float, u1: float, v0: float, v1: float) -> Corners:
    """A part of a four-cornered side: ``u`` along its foot, ``v`` up, each from 0 to 1."""

    def at(u: float, v: float) -> Corners:
        return (side[0] * (1 - u) + side[1] * u) * (1 - v) + (side[3] * (1 - u) + side[2] * u) * v

    return np.array([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)])


def disc(x: float, y: float, z: float, radius: float, flank: int) -> Corners:
    """An upright disc that faces the left (``flank`` 1) or the right (-1)."""
    angles = [-flank * i * pi / 5 for i in range(10)]
    return np.array([(x + radius * cos(a), y, z + radius * sin(a)) for a in angles])
