"""A simulated traffic scene, drawn for the moment at which it is looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Protocol

from workers.capture.pacing import wait_until
from workers.capture.sources.base import Frame, Picture


class Scene(Protocol):
    """``vision_stream.simulators.traffic.TrafficScene``, as far as it is used here."""

    fps: float

    def render(self, t: float, /) -> Picture: ...


class SimulatedScene:
    live = True
    keep_all = False

    def __init__(self, address: str, scene: Scene, *, fps: float) -> None:
        self.name = address
        self._scene = scene
        self._period = 1.0 / min(fps, scene.fps)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Never ends by itself, raises nothing. The scene's clock starts when it is opened."""
        started, at = time.monotonic(), 0.0
        while not stop.is_set():
            yield Frame(self._scene.render(at), time.time(), at)
            at = max(at + self._period, time.monotonic() - started)  # where drawing is late, the scene goes on
            wait_until(started + at, stop)
