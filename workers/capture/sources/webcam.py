"""A camera of this machine, by its index or device file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2

from workers.capture.pacing import Pace
from workers.capture.sources.base import Frame, SourceError


class Webcam:
    live = True
    keep_all = False

    def __init__(self, device: str, *, fps: float) -> None:
        self.name = f"webcam {device}"
        self._device = int(device.removeprefix("/dev/video"))
        self._fps = fps

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Raises SourceError: there is no such device, another program holds it, or it stopped."""
        capture = cv2.VideoCapture(self._device)
        try:
            if not capture.isOpened():
                raise SourceError(f"{self.name} cannot be opened", remedy="is it plugged in, and free?")
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, where the driver allows it
            pace = Pace(self._fps)
            while not stop.is_set():
                if not capture.grab():
                    raise SourceError(f"{self.name} sends no frames any more")
                now = time.monotonic()
                if pace.due(now):
                    found, image = capture.retrieve()
                    if found:
                        yield Frame(image, time.time(), now)
        finally:
            capture.release()
