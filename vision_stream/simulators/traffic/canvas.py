"""What everything that paints shares: pictures, colours, boxes, and cv2's fixed point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (height, width, 3), BGR
Colour = tuple[float, float, float]  # blue, green, red: 0 to 255
Box = tuple[float, float, float, float]  # x1 y1 x2 y2 in pixels

SUBPIXEL_BITS = 4  # Sixteenths of a pixel, so that slow cars glide instead of jumping from pixel to pixel.


def fixed_point(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    """Coordinates as cv2 takes them with ``shift=SUBPIXEL_BITS``."""
    return np.round(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)


def tinted(colour: Colour, factor: float) -> Colour:
    """The colour, darker (below 1) or brighter.

    >>> tinted((100, 50, 20), 0.5)
    (50.0, 25.0, 10.0)
    """
    b, g, r = colour
    return b * factor, g * factor, r * factor


def lit(colour: Colour, shade: NDArray[np.float64]) -> Colour:
    """The colour under light of strength ``shade`` (3,) in blue, green and red."""
    b, g, r = np.minimum(np.array(colour) * shade, 255).tolist()
    return b, g, r
