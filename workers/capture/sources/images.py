"""A directory of pictures as a film: one picture a frame, in the order of their names."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import structlog

from vision_stream.pictures import BadPicture, check
from workers.capture.pacing import wait_until
from workers.capture.sources.base import Frame, Picture, SourceError

_log = structlog.get_logger(__name__)
MAX_FILE = 200 << 20  # bytes; a picture that may be decoded has fewer
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class ImageDirectory:
    def __init__(self, path: Path, *, fps: float, loop: bool, realtime: bool) -> None:
        self.name = str(path)
        self.live = loop
        self.keep_all = not realtime
        self._path = path
        self._fps = fps

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Raises SourceError: there is no picture in the directory that OpenCV can read."""
        started, index = time.monotonic(), 0
        while not stop.is_set():
            before = index
            for path in sorted(p for p in self._path.iterdir() if p.suffix.lower() in SUFFIXES):
                image = read_image(path)
                if image is None:
                    _log.warning("picture left out, OpenCV cannot read it", path=str(path))
                    continue
                media_s = index / self._fps
                if not self.keep_all:
                    wait_until(started + media_s, stop)
                if stop.is_set():
                    return
                yield Frame(image, time.time(), media_s)
                index += 1
            if index == before:
                raise SourceError(f"{self.name} holds no picture ({', '.join(sorted(SUFFIXES))})")
            if not self.live:
                return


def read_image(path: Path) -> Picture | None:
    """BGR, (height, width, 3); None if it cannot be read. Not ``imread``, which fails on some names on Windows."""
    try:
        if path.stat().st_size > MAX_FILE:
            return None
        data = np.fromfile(path, dtype=np.uint8)
        check(data.tobytes())
        return cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, BadPicture, cv2.error):
        return None
