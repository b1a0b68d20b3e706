"""A simulated scene as files: numbered pictures, or a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2

from vision_stream.errors import VisionStreamError

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


class Scene(Protocol):
    def render(self, t: float, /) -> Any: ...


def frames(scene: Scene, *, seconds: float, fps: float) -> Iterator[Any]:
    """The scene's frames, uint8 BGR."""
    for n in range(max(1, round(seconds * fps))):
        yield scene.render(n / fps)


def write_pictures(scene: Scene, directory: Path, *, seconds: float, fps: float) -> int:
    """Write ``000000.jpg`` and on; returns how many."""
    directory.mkdir(parents=True, exist_ok=True)
    count = 0
    for picture in frames(scene, seconds=seconds, fps=fps):
        if not cv2.imwrite(str(directory / f"{count:06}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92]):
            raise VisionStreamError(f"cannot write to {directory}", remedy="give a directory that can be written")
        count += 1
    return count


def write_video(scene: Scene, path: Path, *, seconds: float, fps: float) -> int:
    """Write a ``.mp4`` or ``.avi``; returns how many frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix.lower()])
    writer: cv2.VideoWriter | None = None
    count = 0
    try:
        for picture in frames(scene, seconds=seconds, fps=fps):
            if writer is None:
                writer = cv2.VideoWriter(str(path), codec, fps, (picture.shape[1], picture.shape[0]))
                if not writer.isOpened():
                    raise VisionStreamError(f"cannot write a video to {path}", remedy="try .avi, or a directory")
            writer.write(picture)
            count += 1
    finally:
        if writer is not None:
            writer.release()
    return count
