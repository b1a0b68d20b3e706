"""JPEGs of a frame: a group's surroundings for the LLM, and the whole for the dashboard."""

from __future__ import annotations

import cv2

from vision_stream.messages import Box
from workers.capture.sources.base import Picture

LONGEST_SIDE = 768  # of a group's picture: what multimodal models look at without cutting it into tiles
MARGIN = 0.15  # of the group's size on each side: what stands around it decides whether it is dangerous
LEAST_MARGIN_PX = 24
FRAME_WIDTH = 640
FRAME_QUALITY = 75
QUALITIES = (85, 70, 50, 35)  # tried in this order until a picture is small enough


def group_picture(frame: Picture, box: Box) -> Picture:
    """The part of ``frame`` around ``box``, longest side at most ``LONGEST_SIDE``.

    Cut first, then scaled: scaling a whole frame costs more than all the rest.
    """
    height, width = frame.shape[:2]
    margin = max(LEAST_MARGIN_PX, MARGIN * max(box.x2 - box.x1, box.y2 - box.y1))
    left, top = max(0, int(box.x1 - margin)), max(0, int(box.y1 - margin))
    right, bottom = min(width, int(box.x2 + margin) + 1), min(height, int(box.y2 + margin) + 1)
    return _at_most(frame[top : max(bottom, top + 1), left : max(right, left + 1)], LONGEST_SIDE)


def encode_within(picture: Picture, max_bytes: int) -> bytes | None:
    """JPEG of at most ``max_bytes``, in the best quality for that; None if it cannot be so small."""
    for quality in QUALITIES:
        jpeg = encode(picture, quality)
        if len(jpeg) <= max_bytes:
            return jpeg
    return None


def frame_picture(frame: Picture) -> Picture:
    """The whole frame, at most ``FRAME_WIDTH`` wide."""
    width = frame.shape[1]
    return _scaled(frame, FRAME_WIDTH / width) if width > FRAME_WIDTH else frame


def frame_jpeg(picture: Picture) -> bytes:
    return encode(picture, FRAME_QUALITY)


def encode(picture: Picture, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _at_most(picture: Picture, side: int) -> Picture:
    longest = max(picture.shape[:2])
    return _scaled(picture, side / longest) if longest > side else picture


def _scaled(picture: Picture, factor: float) -> Picture:
    height, width = picture.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
