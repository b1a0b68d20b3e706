"""Boxes painted over, each in the mean colour of what it hides: unlike a blur or a mosaic, nothing can undo that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.capture.sources.base import Picture


def covered(picture: Picture, boxes: NDArray[np.floating]) -> Picture:
    """A copy of ``picture`` with ``boxes`` hidden.

    Args:
        boxes: shape (n, 4), x1 y1 x2 y2 in pixels; what lies outside of the picture is left out.

    >>> grey = np.array([[[0], [8], [9]]], np.uint8)
    >>> covered(grey, np.array([[-1.0, 0.0, 2.0, 1.0]])).ravel().tolist()
    [4, 4, 9]
    """
    height, width = picture.shape[:2]
    painted = picture.copy()
    inside = np.hstack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])]).clip(0, (width, height, width, height))
    for x1, y1, x2, y2 in inside.astype(int).tolist():
        if x1 < x2 and y1 < y2:
            painted[y1:y2, x1:x2] = picture[y1:y2, x1:x2].mean(axis=(0, 1))
    return painted
