"""A fixed pinhole camera over flat ground: metres in, pixels out.

The ground is the plane z = 0; x runs to the right, y away from the camera, z up, all in metres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEAR_M = 1.0  # What lies nearer to the lens than this is cut away, as its pixels run to infinity.


class Camera:
    """A camera at ``position`` that looks at ``target``; the horizon is level.

    Args:
        position: x y z in metres.
        target: the point in the middle of the picture, x y z in metres.
        focal: focal length as a fraction of the picture's width. Below 0.6: wide angle; above 1.2: tele.
        width, height: of the picture in pixels.
    """

    def __init__(self, position: ArrayLike, target: ArrayLike, focal: float, width: int, height: int) -> None:
        self.position = np.asarray(position, dtype=np.float64)
        self.width = width
        self.height = height
        self.focal_px = focal * width
        forward = np.asarray(target, dtype=np.float64) - self.position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        self._axes = np.stack([right, np.cross(forward, right), forward])  # rows: right, down, forward

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the points (n, 3) in metres appear: pixels (n, 2), and their depths (n,) in metres.

        Pixels of points with a depth below ``NEAR_M`` mean nothing.

        >>> camera = Camera((0, 0, 10), (0, 30, 0), focal=0.75, width=1280, height=720)
        >>> camera.project(np.array([[0.0, 30.0, 0.0]]))[0].tolist()
        [[640.0, 360.0]]
        """
        local = (points - self.position) @ self._axes.T
        depth = local[:, 2]
        scale = self.focal_px / np.maximum(depth, NEAR_M)
        pixels = local[:, :2] * scale[:, None] + (self.width / 2, self.height / 2)
        return pixels, depth

    def project_polygon(self, corners: ArrayLike, z: float = 0.0) -> NDArray[np.float64]:
        """The pixels (m, 2) of a flat polygon at height ``z``, cut at the lens; m may be 0.

        Args:
            corners: shape (n, 2), x y in metres.
        """
        flat = np.asarray(corners, dtype=np.float64)
        points = np.column_stack([flat, np.full(len(flat), z)])
        return self.project(self._cut_near(points))[0] if len(points) else np.empty((0, 2))

    def pixels_per_metre(self, point: ArrayLike) -> float:
        """How many pixels a metre takes at a point (3,) in metres; 0 behind the lens."""
        depth = float((np.asarray(point) - self.position) @ self._axes[2])
        return self.focal_px / depth if depth > NEAR_M else 0.0

    def _cut_near(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = (points - self.position) @ self._axes[2] - NEAR_M
        if inside.min() >= 0:
            return points
        kept: list[NDArray[np.float64]] = []
        for i, point in enumerate(points):
            j = (i + 1) % len(points)
            if inside[i] >= 0:
                kept.append(point)
            if (inside[i] >= 0) != (inside[j] >= 0):
                kept.append(point + (points[j] - point) * inside[i] / (inside[i] - inside[j]))
        return np.array(kept).reshape(-1, 3)
