"""Cars, trucks and buses: small solids with windows, lamps and wheels, drawn face by face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.camera import NEAR_M, Camera
from vision_stream.simulators.traffic.light import Light
from vision_stream.simulators.traffic.motion import Pose
from vision_stream.simulators.traffic.truth import Label

Colour = tuple[float, float, float]  # blue, green, red: 0 to 255
Box = tuple[float, float, float, float]  # x1 y1 x2 y2 in pixels
Corners = NDArray[np.float64]  # (n, 3) in metres, anticlockwise as seen from outside

SUBPIXEL_BITS = 4  # cv2's fixed point: sixteenths of a pixel, so that slow cars glide.

GLASS: Colour = (78, 66, 56)
TYRE: Colour = (34, 33, 32)
TRIM: Colour = (58, 56, 54)
HEADLAMP: Colour = (215, 232, 238)
TAIL_LAMP: Colour = (38, 32, 165)

# Muted, so that none comes near the hue and strength of a ring (see ``rings``).
PAINTS: tuple[Colour, ...] = (
    (226, 228, 230), (178, 176, 172), (118, 116, 112), (52, 50, 50), (118, 76, 48),
    (44, 42, 150), (150, 178, 192), (82, 92, 66), (62, 104, 168), (142, 112, 82),
)  # fmt: skip
BUS_PAINTS: tuple[Colour, ...] = ((54, 150, 196), (48, 46, 160), (208, 206, 200), (138, 100, 64))
CARGO_PAINTS: tuple[Colour, ...] = (
    (222, 224, 224),
    (196, 198, 196),
    (148, 110, 74),
    (92, 142, 168),
    (90, 100, 118),
)
TIPPER_PAINT: Colour = (52, 160, 206)


class Body:
    """A solid in its own coordinates: x forward, y to its left, z up from the ground, in metres."""

    def __init__(
        self, faces: Sequence[tuple[Corners, Colour]], length: float, width: float, height: float
    ) -> None:
        self.length, self.width, self.height = length, width, height
        ends = np.cumsum([len(corners) for corners, _ in faces]).tolist()
        self.spans = list(zip([0, *ends], ends, strict=False))
        self.vertices = np.concatenate([corners for corners, _ in faces])
        self.centres = np.array([corners.mean(axis=0) for corners, _ in faces])
        normals = np.array([np.cross(c[1] - c[0], c[2] - c[0]) for c, _ in faces])
        self.normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self.colours = np.array([colour for _, colour in faces])

    def footprint(self) -> NDArray[np.float64]:
        """Corners (4, 2) on the ground."""
        x, y = self.length / 2, self.width / 2
        return np.array([[-x, -y], [x, -y], [x, y], [-x, y]])


def place(points: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """Points (n, 2 or 3) of an actor's own coordinates on the ground that it stands on."""
    c, s = cos(pose.heading), sin(pose.heading)
    placed = points.copy()
    placed[:, 0] = points[:, 0] * c - points[:, 1] * s + pose.x
    placed[:, 1] = points[:, 0] * s + points[:, 1] * c + pose.y
    return placed


def outline(camera: Camera, body: Body, pose: Pose) -> Box | None:
    """The box around a body's picture, not cut at the frame; ``None`` when it reaches behind the lens."""
    pixels, depth = camera.project(place(body.vertices, pose))
    if depth.min() < NEAR_M:
        return None
    (x1, y1), (x2, y2) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
    return x1, y1, x2, y2


def draw_body(image: NDArray[np.uint8], camera: Camera, body: Body, pose: Pose, light: Light) -> None:
    """Paint a body's visible faces. Faces are listed so that what is painted later never lies behind."""
    pixels, _ = camera.project(place(body.vertices, pose))
    c, s = cos(pose.heading), sin(pose.heading)
    own_axes = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    eye = own_axes @ (camera.position - (pose.x, pose.y, 0.0))
    faces_us = ((eye - body.centres) * body.normals).sum(axis=1) > 0
    brightness = light.brightness(body.normals @ (own_axes @ light.sun))
    colours = np.minimum(body.colours * brightness[:, None] * light.gain, 255).tolist()
    fixed = np.round(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
    for face in np.flatnonzero(faces_us):
        start, end = body.spans[face]
        cv2.fillConvexPoly(image, fixed[start:end], colours[face], cv2.LINE_AA, SUBPIXEL_BITS)


@lru_cache(maxsize=512)
def body_of(label: Label, look: int) -> Body:
    """The body of a car, bus or truck; ``look`` picks build and paint."""
    if label == "bus":
        return _bus(BUS_PAINTS[look % len(BUS_PAINTS)])
    if label == "truck":
        paint = PAINTS[look % len(PAINTS)]
        return (
            _tipper(TIPPER_PAINT)
            if look % 16 == 15
            else _lorry(paint, CARGO_PAINTS[look // 11 % len(CARGO_PAINTS)])
        )
    return _car(PAINTS[look % len(PAINTS)], build=look // 10 % 3)


TIPPER = 15  # a ``look``: the dump truck of building sites


def _car(paint: Colour, build: int) -> Body:
    length, height = ((4.5, 1.45), (3.9, 1.5), (4.6, 1.75))[build]  # saloon, hatchback, off-roader
    rear, half, width, belt = -length / 2, length / 2, 1.8, height * 0.58
    hull = _block((rear, half), (-width / 2, width / 2), (0.28, belt), shrink=(0.06, 0.1, 0.05))
    boot = 0.75 if build == 0 else 0.12
    cabin = _block((rear + boot, half - 1.15), (-width / 2 + 0.06, width / 2 - 0.06), (belt, height),
                   shrink=(0.35 if build else 0.55, 0.7, 0.16))  # fmt: skip
    faces = [(side, paint) for side in hull.values()]
    faces += [(_pane(hull["front"], u, u + 0.2, 0.5, 0.85), HEADLAMP) for u in (0.05, 0.75)]
    faces += [(_pane(hull["front"], 0.3, 0.7, 0.15, 0.6), TRIM)]
    faces += [(_pane(hull["rear"], u, u + 0.18, 0.5, 0.85), TAIL_LAMP) for u in (0.04, 0.78)]
    faces += _wheels((rear + 0.8, half - 0.85), width, 0.33)
    faces += [(side, paint) for side in cabin.values()]
    faces += [(_pane(cabin[end], 0.06, 0.94, 0.08, 0.9), GLASS) for end in ("front", "rear")]
    faces += [
        (_pane(cabin[side], u, u + 0.42, 0.12, 0.86), GLASS)
        for side in ("left", "right")
        for u in (0.06, 0.52)
    ]
    return Body(faces, length, width, height)


def _bus(paint: Colour) -> Body:
    length, width, height = 10.5, 2.5, 3.0
    hull = _block(
        (-length / 2, length / 2), (-width / 2, width / 2), (0.35, height), shrink=(0.05, 0.1, 0.06)
    )
    roof = [0.5 * c + 110 for c in paint]
    faces = [(side, paint) for side in hull.values()]
    faces += [(_pane(hull["top"], 0.25, 0.75, 0.15, 0.4), (roof[0], roof[1], roof[2]))]
    faces += [
        (_pane(hull[s], 0.03 + i * 0.158, 0.17 + i * 0.158, 0.48, 0.86), GLASS)
        for s in ("left", "right")
        for i in range(6)
    ]
    faces += [(_pane(hull["right"], u, u + 0.08, 0.05, 0.84), GLASS) for u in (0.12, 0.56)]  # doors
    faces += [
        (_pane(hull["front"], 0.06, 0.94, 0.36, 0.84), GLASS),
        (_pane(hull["rear"], 0.12, 0.88, 0.5, 0.84), GLASS),
    ]
    faces += [(_pane(hull["front"], u, u + 0.16, 0.1, 0.2), HEADLAMP) for u in (0.06, 0.78)]
    faces += [(_pane(hull["rear"], u, u + 0.1, 0.1, 0.25), TAIL_LAMP) for u in (0.04, 0.86)]
    faces += _wheels((-length / 2 + 2.4, length / 2 - 2.2), width, 0.48)
    return Body(faces, length, width, height)


def _lorry(paint: Colour, cargo: Colour) -> Body:
    length, width = 8.0, 2.45
    load = _block((-length / 2, length / 2 - 2.1), (-width / 2, width / 2), (0.85, 3.3), shrink=(0, 0, 0))
    faces = _chassis(length, width)
    faces += [(side, cargo) for side in load.values()]
    faces += [(_pane(load["rear"], 0.06, 0.49, 0.05, 0.95), tuple(c * 0.88 for c in cargo)),
              (_pane(load["rear"], 0.51, 0.94, 0.05, 0.95), tuple(c * 0.88 for c in cargo))]  # fmt: skip
    faces += [(_pane(load[s], 0.0, 1.0, 0.0, 0.06), TRIM) for s in ("left", "right")]
    return Body(faces + _cab(length, width, 2.75, paint), length, width, 3.3)


def _tipper(paint: Colour) -> Body:
    length, width = 7.2, 2.5
    tub = _block(
        (-length / 2, length / 2 - 2.2), (-width / 2, width / 2), (0.95, 2.25), shrink=(-0.3, 0, -0.08)
    )
    faces = _chassis(length, width)
    faces += [(side, paint) for side in tub.values()]
    faces += [(_pane(tub["top"], 0.06, 0.94, 0.06, 0.94), (72, 98, 122))]  # earth
    ribs = [(_pane(tub[s], u, u + 0.04, 0.0, 1.0), tuple(c * 0.75 for c in paint))
            for s in ("left", "right") for u in (0.2, 0.45, 0.7)]  # fmt: skip
    return Body(faces + ribs + _cab(length, width, 2.7, paint), length, width, 2.7)


def _chassis(length: float, width: float) -> list[tuple[Corners, Colour]]:
    frame = _block(
        (-length / 2, length / 2), (-width / 2 + 0.15, width / 2 - 0.15), (0.45, 0.95), shrink=(0, 0, 0)
    )
    faces = [(side, TRIM) for side in frame.values()]
    faces += [(_pane(frame["rear"], u, u + 0.14, 0.2, 0.7), TAIL_LAMP) for u in (0.03, 0.83)]
    return faces + _wheels((-length / 2 + 1.1, -length / 2 + 2.3, length / 2 - 1.1), width, 0.5)


def _cab(length: float, width: float, height: float, paint: Colour) -> list[tuple[Corners, Colour]]:
    cab = _block(
        (length / 2 - 1.95, length / 2),
        (-width / 2 + 0.03, width / 2 - 0.03),
        (0.5, height),
        shrink=(0, 0.25, 0.08),
    )
    faces = [(side, paint) for side in cab.values()]
    faces += [
        (_pane(cab["front"], 0.06, 0.94, 0.5, 0.88), GLASS),
        (_pane(cab["front"], 0.2, 0.8, 0.1, 0.34), TRIM),
    ]
    faces += [(_pane(cab["front"], u, u + 0.14, 0.08, 0.2), HEADLAMP) for u in (0.03, 0.83)]
    faces += [
        (_pane(cab["left"], 0.08, 0.62, 0.5, 0.86), GLASS),
        (_pane(cab["right"], 0.38, 0.92, 0.5, 0.86), GLASS),
    ]
    return faces


def _block(
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


def _pane(side: Corners, u0: float, u1: float, v0: float, v1: float) -> Corners:
    """A part of a four-cornered side: ``u`` along its foot, ``v`` up, each from 0 to 1."""

    def at(u: float, v: float) -> Corners:
        return (side[0] * (1 - u) + side[1] * u) * (1 - v) + (side[3] * (1 - u) + side[2] * u) * v

    return np.array([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)])


def _wheels(axles: Sequence[float], width: float, radius: float) -> list[tuple[Corners, Colour]]:
    faces: list[tuple[Corners, Colour]] = []
    for x in axles:
        for flank in (-1, 1):
            y = flank * (width / 2 + 0.02)
            faces += [
                (_disc(x, y, radius, radius, flank), TYRE),
                (_disc(x, y, radius, radius * 0.5, flank), (150, 150, 150)),
            ]
    return faces


def _disc(x: float, y: float, z: float, radius: float, flank: int) -> Corners:
    angles = [-flank * i * pi / 5 for i in range(10)]
    return np.array([(x + radius * cos(a), y, z + radius * sin(a)) for a in angles])
