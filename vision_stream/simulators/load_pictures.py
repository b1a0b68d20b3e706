"""Pictures for a simulated load: a few JPEGs of a scene, small enough to travel inside the messages."""

from __future__ import annotations

import cv2

from vision_stream.simulators.traffic import parse_scene


def pictures(scene: str, *, width: int = 480, count: int = 8) -> list[bytes]:
    """Raises ValueError where ``scene`` is none (``sim:crossing?seed=3``)."""
    rendered = parse_scene(scene)
    return [_jpeg(rendered.render(float(n * 2)), width) for n in range(count)]


def _jpeg(picture: cv2.typing.MatLike, width: int) -> bytes:
    height = round(picture.shape[0] * width / picture.shape[1])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
