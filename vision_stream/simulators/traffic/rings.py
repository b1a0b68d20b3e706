"""The simulator's convention: a danger can be seen in the picture itself.

Who is part of a danger stands on a thin ring on the ground. Its hue is the level, and occurs nowhere else in a
scene: lime green for low, cyan for medium, magenta for high. So a simulated LLM can judge a JPEG crop by looking at
it, as a real one does, and its verdict can be held against the scene's truth.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.truth import DANGER_LEVELS, DangerLevel, RiskLevel

RING_BGR: dict[DangerLevel, tuple[int, int, int]] = {
    "low": (0, 255, 0),
    "medium": (255, 255, 0),
    "high": (255, 0, 255),
}

# In units of Cr and Cb (8 bits). Between what JPEG 75 makes of 970 pictures without a ring (37 in cyan's direction,
# from blue paint; 25 in the others) and what is left of a distant person's ring, shrunk by three (above 46).
MIN_CHROMA = 42.0
# 21 degrees of hue: JPEG bends a thin ring's hue by up to 15, the nearest neighbour is 57 away.
MIN_COSINE = 0.93
MIN_PIXELS = 5  # Fewer are specks of noise; the ring of a distant person, shrunk by three, has about ten.


def read_danger(image_bgr: NDArray[np.uint8]) -> RiskLevel:
    """The highest danger level whose ring can be seen in a picture of a simulated scene, or a crop of one.

    Args:
        image_bgr: shape (h, w, 3); may have been through JPEG and made smaller.
    """
    luma_chroma = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2YCrCb)
    chroma = luma_chroma[:, :, 1:].reshape(-1, 2).astype(np.float32) - 128
    strength = np.hypot(chroma[:, 0], chroma[:, 1])
    chroma, strength = chroma[strength >= MIN_CHROMA], strength[strength >= MIN_CHROMA]
    found: RiskLevel = "none"
    for level in DANGER_LEVELS:
        if np.count_nonzero(chroma @ _HUES[level] >= MIN_COSINE * strength) >= MIN_PIXELS:
            found = level
    return found


def _hue(bgr: tuple[int, int, int]) -> NDArray[np.float32]:
    """The unit vector (2,) in the Cr-Cb plane."""
    chroma = cv2.cvtColor(np.array([[bgr]], np.uint8), cv2.COLOR_BGR2YCrCb)[0, 0, 1:].astype(np.float32) - 128
    return (chroma / np.linalg.norm(chroma)).astype(np.float32)


_HUES = {level: _hue(bgr) for level, bgr in RING_BGR.items()}
