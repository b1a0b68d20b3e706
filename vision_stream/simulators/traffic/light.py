"""The light of the day: where the sun stands and what colour it gives to things."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Light(NamedTuple):
    """One sky. ``sun`` (3,) points to it; ``gain`` (3,) scales blue, green, red."""

    sun: NDArray[np.float64]
    gain: NDArray[np.float64]
    ambient: float
    direct: float
    shadow: float  # what is left of the ground's brightness in a shadow

    def brightness(self, facing: NDArray[np.float64]) -> NDArray[np.float64]:
        """What sides reflect that face the sun with these cosines."""
        return self.ambient + self.direct * np.maximum(facing, 0.0)

    def shadow_of(self, height: float) -> NDArray[np.float64]:
        """How far (2,) in metres the shadow of something that high falls."""
        return -self.sun[:2] / self.sun[2] * height


def light_of_day(rng: np.random.Generator) -> Light:
    """Morning, noon, a clouded sky or evening. No night: lamps would need another renderer."""
    azimuth = rng.uniform(0, 2 * np.pi)
    gain, ambient, direct, shadow, height = (
        ((0.92, 0.98, 1.04), 0.62, 0.46, 0.62, 0.9),
        ((1.0, 1.0, 1.0), 0.62, 0.50, 0.58, 1.6),
        ((1.0, 0.97, 0.93), 0.78, 0.16, 0.80, 3.0),
        ((0.80, 0.84, 0.92), 0.58, 0.42, 0.66, 0.75),
    )[int(rng.integers(4))]
    sun = np.array([np.cos(azimuth), np.sin(azimuth), height])
    return Light(sun / np.linalg.norm(sun), np.array(gain), ambient, direct, shadow)
