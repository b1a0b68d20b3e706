"""People on foot and on two wheels: jointed figures of lines and discs."""

from __future__ import annotations

from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.bodies import SUBPIXEL_BITS, TYRE, Box, Colour, place
from vision_stream.simulators.traffic.camera import NEAR_M, Camera
from vision_stream.simulators.traffic.light import Light
from vision_stream.simulators.traffic.motion import Pose
from vision_stream.simulators.traffic.truth import Label

STRIDE_M = 0.75
WORKER = 1000  # a ``look`` from here on wears a helmet and a vest

SKIN: tuple[Colour, ...] = ((150, 178, 214), (110, 142, 186), (66, 92, 132), (48, 64, 96))
TOPS: tuple[Colour, ...] = (
    (52, 52, 150), (150, 104, 62), (60, 60, 62), (206, 204, 202), (70, 128, 176), (92, 112, 76), (110, 88, 118), (160, 152, 140),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = ((92, 66, 48), (48, 46, 44), (104, 116, 128), (120, 118, 116))
HAIR: tuple[Colour, ...] = ((30, 34, 44), (44, 70, 104), (120, 150, 170), (110, 112, 116))
VESTS: tuple[Colour, ...] = ((52, 130, 226), (60, 190, 214))
HELMETS: tuple[Colour, ...] = ((226, 228, 230), (56, 176, 220), (60, 64, 190))
FRAMES: tuple[Colour, ...] = ((48, 48, 150), (120, 84, 56), (60, 60, 60), (190, 190, 190))


class Figure:
    """A figure where it stands, ready to draw. Limbs are lines between two points with a thickness in metres."""

    def __init__(self, camera: Camera, pose: Pose) -> None:
        self._camera = camera
        self._pose = pose
        self.limbs: list[tuple[tuple[float, float, float], tuple[float, float, float], float, Colour]] = []
        self.torso: tuple[list[tuple[float, float, float]], Colour] = ([], SKIN[0])
        self.head: tuple[tuple[float, float, float], float, Colour, Colour] = (
            (0, 0, 0),
            0.0,
            SKIN[0],
            HAIR[0],
        )
        self.wheels: list[tuple[float, float, float]] = []  # x, radius, thickness

    def box(self) -> Box | None:
        """The box around its picture, not cut at the frame; ``None`` when it reaches behind the lens."""
        pixels, depth = self._projected()
        if depth.min() < NEAR_M:
            return None
        scale = self._camera.focal_px / float(depth[-1])
        pad, crown = 0.06 * scale, self.head[1] * scale
        (x1, y1), (x2, y2) = (pixels.min(axis=0) - pad).tolist(), (pixels.max(axis=0) + pad).tolist()
        head_x, head_y = pixels[-1].tolist()
        return min(x1, head_x - crown), min(y1, head_y - crown), max(x2, head_x + crown), y2

    def draw(self, image: NDArray[np.uint8], light: Light) -> None:
        pixels, depth = self._projected()
        fixed = np.round(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
        self._paint(image, fixed, self._camera.focal_px / float(depth[-1]), light)

    def _projected(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels and depths of the rims, the limbs' ends, the torso and the head, in this order."""
        rims = [(x + r * cos(a), 0.0, r + r * sin(a)) for x, r, _ in self.wheels for a in _RIM]
        ends = [p for a, b, _, _ in self.limbs for p in (a, b)]
        points = np.array([*rims, *ends, *self.torso[0], self.head[0]], dtype=np.float64)
        return self._camera.project(place(points, self._pose))

    def _paint(self, image: NDArray[np.uint8], fixed: NDArray[np.int32], scale: float, light: Light) -> None:
        shade = (light.ambient + 0.6 * light.direct) * light.gain

        def lit(colour: Colour, factor: float = 1.0) -> tuple[float, float, float]:
            b, g, r = np.minimum(np.array(colour) * shade * factor, 255).tolist()
            return b, g, r

        for i, (_, _, thickness) in enumerate(self.wheels):
            rim = fixed[i * len(_RIM) : (i + 1) * len(_RIM)].reshape(-1, 1, 2)
            cv2.polylines(image, [rim], True, lit(TYRE), _px(thickness, scale), cv2.LINE_AA, SUBPIXEL_BITS)
        at = len(self.wheels) * len(_RIM)
        for i, (_, _, thickness, colour) in enumerate(self.limbs):
            a, b = fixed[at + 2 * i].tolist(), fixed[at + 2 * i + 1].tolist()
            cv2.line(image, a, b, lit(colour), _px(thickness, scale), cv2.LINE_AA, SUBPIXEL_BITS)
        at += 2 * len(self.limbs)
        torso = cv2.convexHull(fixed[at : at + len(self.torso[0])])
        cv2.fillConvexPoly(image, torso, lit(self.torso[1]), cv2.LINE_AA, SUBPIXEL_BITS)
        # Its outline too, as thick as a chest is deep: seen from the side the polygon alone is a line.
        cv2.polylines(image, [torso], True, lit(self.torso[1]), _px(0.16, scale), cv2.LINE_AA, SUBPIXEL_BITS)
        (x, y), radius = fixed[-1].tolist(), self.head[1]
        unit = scale * (1 << SUBPIXEL_BITS)
        cv2.circle(image, (x, y), round(radius * unit), lit(self.head[2]), -1, cv2.LINE_AA, SUBPIXEL_BITS)
        cap = (x, round(y - 0.3 * radius * unit))
        cv2.circle(image, cap, round(0.82 * radius * unit), lit(self.head[3]), -1, cv2.LINE_AA, SUBPIXEL_BITS)


def figure_of(label: Label, look: int, camera: Camera, pose: Pose, still: bool = False) -> Figure:
    """A person, or a bicycle or motorcycle with its rider, in mid-stride after the distance it has travelled."""
    figure = Figure(camera, pose)
    if label == "person":
        _person(figure, look, 0.0 if still else sin(pose.travelled / STRIDE_M * pi))
    else:
        _rider(figure, look, pose.travelled, motor=label == "motorcycle")
    return figure


def height_of(label: Label) -> float:
    """Metres, for shadows."""
    return 1.7


_RIM = np.linspace(0, 2 * pi, 12, endpoint=False).tolist()


def _px(metres: float, scale: float) -> int:
    return max(1, round(metres * scale))


def _person(figure: Figure, look: int, swing: float) -> None:
    worker = look >= WORKER
    h = 1.62 + 0.05 * (look % 5)
    trousers, skin = TROUSERS[look // 3 % len(TROUSERS)], SKIN[look // 7 % len(SKIN)]
    top = VESTS[look % len(VESTS)] if worker else TOPS[look % len(TOPS)]
    step, reach = 0.30 * swing, 0.24 * swing
    for side, direction in ((-1, -1), (1, 1)):
        hip, knee = (0.0, 0.09 * side, 0.50 * h), (0.55 * direction * step, 0.09 * side, 0.26 * h)
        figure.limbs += [
            (hip, knee, 0.17, trousers),
            (knee, (direction * step, 0.09 * side, 0.03), 0.13, trousers),
        ]
        shoulder, hand = (0.0, 0.23 * side, 0.79 * h), (-direction * reach, 0.25 * side, 0.48 * h)
        figure.limbs.append((shoulder, hand, 0.10, trousers if worker else tuple(0.85 * c for c in top)))
    figure.torso = ([(0, -0.13, 0.5 * h), (0, 0.13, 0.5 * h), (0, 0.18, 0.8 * h), (0, -0.18, 0.8 * h)], top)
    figure.head = (
        (0.02, 0, 0.925 * h),
        0.135,
        skin,
        HELMETS[look % len(HELMETS)] if worker else HAIR[look // 2 % len(HAIR)],
    )


def _rider(figure: Figure, look: int, travelled: float, motor: bool) -> None:
    base, radius = (0.68, 0.31) if motor else (0.53, 0.34)
    frame = FRAMES[look % len(FRAMES)]
    trousers, top = TROUSERS[look // 3 % len(TROUSERS)], TOPS[look // 5 % len(TOPS)]
    figure.wheels = [(-base, radius, 0.16 if motor else 0.05), (base, radius, 0.16 if motor else 0.05)]
    hip = (-0.22, 0.0, 0.80 if motor else 0.98)
    grip = (0.42, 0.0, 1.02 if motor else 1.05)
    if motor:
        figure.limbs += [((-0.75, 0, 0.72), (0.1, 0, 0.72), 0.30, frame), ((0.05, 0, 0.80), (0.42, 0, 0.86), 0.32, frame),
                         ((-0.2, 0, 0.42), (0.25, 0, 0.42), 0.36, (70, 70, 70)), ((base, 0, radius), grip, 0.10, (150, 150, 150)),
                         ((0.55, 0, 0.86), (0.57, 0, 0.86), 0.20, (205, 222, 228))]  # fmt: skip
    else:
        crank, saddle, fork = (-0.05, 0, 0.3), (-0.2, 0, 0.9), (0.38, 0, 0.9)
        rear, front = (-base, 0, radius), (base, 0, radius)
        figure.limbs += [(a, b, 0.05, frame) for a, b in
                         ((rear, crank), (crank, saddle), (saddle, rear), (saddle, fork), (crank, fork), (fork, front))]  # fmt: skip
    for side in (-1, 1):
        turn = 0.0 if motor else travelled * 1.6 + (pi if side > 0 else 0.0)
        foot = (
            (0.12, 0.16 * side, 0.32)
            if motor
            else (-0.05 + 0.16 * sin(turn), 0.1 * side, 0.3 + 0.16 * sin(turn + pi / 2))
        )
        knee = (0.2 + 0.4 * (foot[0] - 0.05), 0.12 * side, 0.35 + 0.5 * hip[2] * 0.7)
        figure.limbs += [(hip, knee, 0.16, trousers), (knee, foot, 0.13, trousers)]
        figure.limbs.append(((0.1, 0.2 * side, 1.36), (grip[0], 0.25 * side, grip[2]), 0.1, top))
    figure.torso = (
        [(-0.22, -0.12, hip[2]), (-0.22, 0.12, hip[2]), (0.12, 0.17, 1.4), (0.12, -0.17, 1.4)],
        top,
    )
    helmet = HELMETS[look % len(HELMETS)] if motor else HAIR[look // 2 % len(HAIR)]
    figure.head = (
        (0.22, 0, 1.6),
        0.155 if motor else 0.135,
        helmet if motor else SKIN[look // 7 % len(SKIN)],
        helmet,
    )
