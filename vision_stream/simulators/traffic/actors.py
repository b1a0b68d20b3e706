"""A trip's actor at one moment: where it stands, how it looks from the camera, its shadow and its ring."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.camera import NEAR_M, Camera
from vision_stream.simulators.traffic.canvas import SUBPIXEL_BITS, Box, Image, fixed_point
from vision_stream.simulators.traffic.figures import HEIGHT_M, Figure
from vision_stream.simulators.traffic.light import Light
from vision_stream.simulators.traffic.motion import Pose, Trip, place
from vision_stream.simulators.traffic.people import build_of
from vision_stream.simulators.traffic.rings import RING_BGR
from vision_stream.simulators.traffic.solids import StandingSolid
from vision_stream.simulators.traffic.truth import DangerLevel, Label
from vision_stream.simulators.traffic.vehicles import vehicle_of

RING_EDGE_BGR = (
    38,
    38,
    38,
)  # Dark, so that JPEG's coarse chroma does not mix the ring's hue with bright paint.
_CIRCLE = np.column_stack([f(np.linspace(0, 2 * np.pi, 28, endpoint=False)) for f in (np.cos, np.sin)])
_CORNERS = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


class Shape(Protocol):
    """What can be drawn: a vehicle or a figure."""

    def box(self) -> Box | None: ...
    def draw(self, image: Image, light: Light, /) -> None: ...


class StandingActor:
    """An actor on the ground before the camera. ``box``: not cut at the frame, ``None`` behind the lens."""

    def __init__(self, trip: Trip, pose: Pose, still: bool, camera: Camera) -> None:
        self.id = trip.actor_id
        self.label: Label = trip.label
        self._pose, self._camera = pose, camera
        self._shape, self._half, self._height = _shape(trip, pose, still, camera)
        self.box = self._shape.box()
        _, depth = camera.project(np.array([[pose.x, pose.y, 0.0]]))
        self.depth = float(depth[0])

    def draw(self, image: Image, light: Light) -> None:
        self._shape.draw(image, light)

    def draw_shadow(self, mask: NDArray[np.uint8], light: Light) -> None:
        """Mark its shadow in a mask (height, width)."""
        low = place(_CORNERS * self._half, self._pose)
        pixels = self._on_ground(np.concatenate([low, low + light.shadow_of(self._height)]))
        if pixels is not None:
            cv2.fillConvexPoly(mask, cv2.convexHull(np.round(pixels).astype(np.int32)), 255)

    def draw_ring(self, image: Image, level: DangerLevel) -> None:
        """The sign that it is part of a danger: see ``rings``."""
        pixels = self._on_ground(place(_CIRCLE * (self._half * 1.2 + 0.45), self._pose))
        if pixels is None:
            return
        line = fixed_point(pixels).reshape(-1, 1, 2)
        thickness = max(2, round(image.shape[0] / 180))
        cv2.polylines(image, [line], True, RING_EDGE_BGR, thickness + 2, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.polylines(image, [line], True, RING_BGR[level], thickness, cv2.LINE_AA, SUBPIXEL_BITS)

    def _on_ground(self, points: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Pixels of points (n, 2) in metres; ``None`` when some lie behind the lens."""
        pixels, depth = self._camera.project(np.column_stack([points, np.zeros(len(points))]))
        return pixels if depth.min() > NEAR_M else None


def _shape(trip: Trip, pose: Pose, still: bool, camera: Camera) -> tuple[Shape, NDArray[np.float64], float]:
    """The shape, half its length and width (2,), and its height, in metres."""
    if _is_vehicle(trip.label):
        solid = vehicle_of(trip.label, trip.look)
        return StandingSolid(solid, camera, pose), np.array([solid.length, solid.width]) / 2, solid.height
    build = build_of(trip.label, trip.look, pose.travelled, still)
    return Figure(build, camera, pose), np.array([0.85 if build.wheels else 0.16, 0.2]), HEIGHT_M


def _is_vehicle(label: Label) -> bool:
    return label in ("car", "bus", "truck")
