"""Fit a picture into a model's input, and boxes back into the picture. The same arithmetic as ultralytics'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.capture.sources.base import Picture

GREY = (114, 114, 114)  # what YOLO models saw around their training pictures


@dataclass(frozen=True)
class Fit:
    """How a picture lies in the input: scaled by ``gain``, then moved by ``left`` and ``top`` pixels."""

    gain: float
    left: int
    top: int

    def to_picture(self, boxes: NDArray[np.float32], *, width: int, height: int) -> NDArray[np.float32]:
        """Boxes (n, 4), x1 y1 x2 y2 of the input, in pixels of the picture and cut at its edges."""
        moved = (boxes - np.array([self.left, self.top, self.left, self.top], dtype=np.float32)) / self.gain
        return np.clip(moved, 0, np.array([width, height, width, height], dtype=np.float32))


def letterbox(picture: Picture, *, width: int, height: int, stride: int | None = None) -> tuple[Picture, Fit]:
    """Scale ``picture`` into ``width`` x ``height``, keeping its shape, and fill up with grey.

    Args:
        stride: fill up to its next multiple only, for a model that takes any size: fewer pixels to look at.

    Returns:
        The input, uint8 (height, width, 3), and how the picture lies in it.
    """
    from_height, from_width = picture.shape[:2]
    gain = min(height / from_height, width / from_width)
    scaled_width, scaled_height = round(from_width * gain), round(from_height * gain)
    spare_x, spare_y = width - scaled_width, height - scaled_height
    if stride is not None:
        spare_x, spare_y = spare_x % stride, spare_y % stride
    left, top = round(spare_x / 2 - 0.1), round(spare_y / 2 - 0.1)
    scaled = picture
    if (scaled_width, scaled_height) != (from_width, from_height):
        scaled = cv2.resize(picture, (scaled_width, scaled_height), interpolation=cv2.INTER_LINEAR)
    framed = cv2.copyMakeBorder(scaled, top, spare_y - top, left, spare_x - left, cv2.BORDER_CONSTANT, value=GREY)
    return framed, Fit(gain, left, top)


def to_tensor(framed: Picture, dtype: Any = np.float32) -> NDArray[Any]:
    """uint8 BGR (h, w, 3) to RGB (1, 3, h, w) from 0 to 1."""
    blob = cv2.dnn.blobFromImage(framed, 1 / 255.0, swapRB=True)
    return blob.astype(dtype, copy=False)
