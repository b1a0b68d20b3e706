"""A video file, at its own speed or as fast as its frames are taken, once or looped."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from workers.capture.pacing import Pace, wait_until
from workers.capture.sources.base import Frame, Picture, SourceError

UNKNOWN_FPS = 25.0  # where a container does not say, or says nonsense


class VideoFile:
    def __init__(self, path: Path, *, fps: float, loop: bool, realtime: bool) -> None:
        self.name = str(path)
        self.live = loop
        self.keep_all = not realtime
        self._path = path
        self._fps = fps

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Raises SourceError: OpenCV cannot read the file, or finds no frame in it."""
        pace, started, media_s = Pace(self._fps), time.monotonic(), 0.0
        while not stop.is_set():
            begin = media_s
            for media_s, image in self._play(begin, pace):
                if not self.keep_all:
                    wait_until(started + media_s, stop)
                if stop.is_set():
                    return
                yield Frame(image, time.time(), media_s)
            if not self.live:
                return
            media_s += 1.0 / self._fps  # the first frame of the next round comes after the last of this

    def _play(self, begin: float, pace: Pace) -> Iterator[tuple[float, Picture]]:
        """The due frames of one round with their time, which starts at ``begin``."""
        capture = cv2.VideoCapture(str(self._path))
        try:
            if not capture.isOpened():
                raise SourceError(f"{self.name} is no video that OpenCV can read")
            fps, index = own_fps(capture), -1
            while capture.grab():
                index += 1
                media_s = begin + index / fps
                if pace.due(media_s):
                    found, image = capture.retrieve()
                    if found:
                        yield media_s, image
            if index < 0:
                raise SourceError(f"{self.name} holds no frame")
        finally:
            capture.release()


def own_fps(capture: cv2.VideoCapture) -> float:
    """Frames a second by the container, where that can be true."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 0.1 <= fps <= 480 else UNKNOWN_FPS
