"""Films for tests, drawn and written here, and a detector that truly finds what is drawn in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vision_stream.messages import Box, DetectedObject
from workers.capture.detectors.batching import Batching

BACKGROUND = (60, 60, 60)
COLOURS = {"car": (0, 0, 255), "person": (0, 255, 0)}  # BGR


def picture(*things: tuple[str, int, int, int, int], width: int = 320, height: int = 240) -> np.ndarray:
    """A grey picture with filled boxes: (label, x1, y1, x2, y2)."""
    drawn = np.full((height, width, 3), BACKGROUND, np.uint8)
    for label, x1, y1, x2, y2 in things:
        drawn[y1:y2, x1:x2] = COLOURS[label]
    return drawn


def write_film(path: Path, pictures: list[np.ndarray], fps: float = 10.0) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    assert writer.isOpened()
    for each in pictures:
        writer.write(each)
    writer.release()
    return path


def write_h264(path: Path, pictures: list[np.ndarray], fps: int = 10) -> Path:
    """As an IP camera codes it; OpenCV's wheel can read H.264, and not write it."""
    import av

    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for each in pictures:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(each, format="bgr24")))
        film.mux(stream.encode())
    return path


def two_cars_driving(frames: int = 20) -> list[np.ndarray]:
    """Two cars side by side, 4 pixels a frame to the right, and a person far from them."""
    return [
        picture(
            ("car", 10 + 4 * i, 20, 50 + 4 * i, 46),
            ("car", 10 + 4 * i, 50, 50 + 4 * i, 76),
            ("person", 280, 200, 290, 230),
        )
        for i in range(frames)
    ]


class ColourDetector:
    """Finds filled boxes by their colour. Small, but a detector: it knows nothing but the picture."""

    name = "colours"
    labels = tuple(COLOURS)
    batching = Batching()

    def detect(self, frame: np.ndarray) -> tuple[DetectedObject, ...]:
        found: list[DetectedObject] = []
        for label, colour in COLOURS.items():
            mask = (np.abs(frame.astype(int) - colour).sum(axis=2) < 150).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
            for x, y, width, height, area in stats[1:].tolist():
                if area >= 50:
                    box = Box(x, y, x + width, y + height)
                    found.append(DetectedObject(object_id=len(found), label=label, confidence=0.9, box=box))
        return tuple(found)

    def detect_batch(self, frames: Sequence[np.ndarray]) -> list[tuple[DetectedObject, ...]]:
        return [self.detect(frame) for frame in frames]
