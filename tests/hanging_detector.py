"""``python -m tests.hanging_detector``: a capture worker whose detector hangs once there is the file ``HANG``."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from vision_stream.cli import main
from vision_stream.settings import ModelSettings
from workers.capture import run
from workers.capture.detectors import Detector, open_detector
from workers.capture.detectors.objects import Objects
from workers.capture.sources.base import Picture

HANG = Path(os.environ["HANG"])


class Hanging:
    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.name, self.labels, self.batching = detector.name, detector.labels, detector.batching

    def detect(self, frame: Picture) -> Objects:
        self._hang()
        return self._detector.detect(frame)

    def detect_batch(self, frames: Sequence[Picture]) -> list[Objects]:
        self._hang()
        return self._detector.detect_batch(frames)

    def _hang(self) -> None:
        while HANG.exists():
            time.sleep(0.1)


def _open(settings: ModelSettings) -> Detector:
    return Hanging(open_detector(settings))


if __name__ == "__main__":
    run.open_detector = _open
    main(["capture", "--group", "street"])
