"""The ONNX Runtime backend: no torch, 10 MB of model, for light installs and edge boxes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from vision_stream.messages import DetectedObject
from vision_stream.settings import ModelSettings
from workers.capture.detectors.heads import read_head
from workers.capture.detectors.labels import wanted_classes
from workers.capture.detectors.letterbox import letterbox, to_tensor
from workers.capture.detectors.objects import MOST_OBJECTS, to_objects
from workers.capture.detectors.onnx_file import describe, open_session
from workers.capture.sources.base import Picture


class OnnxDetector:
    """A YOLO detection model as ultralytics exports it: names, size and stride are read from its metadata."""

    def __init__(self, path: Path, settings: ModelSettings) -> None:
        """
        Raises:
            ConfigError: the file is no ONNX model for detection, or a class in the filter is unknown.
        """
        self._session = open_session(path, settings.threads, settings.device)
        self._file = describe(self._session, path)
        self.name = path.name
        self.labels = tuple(self._file.names.values())
        chosen = wanted_classes(settings.classes, self._file.names, model=self.name)
        self._keep = np.array(sorted(chosen) or range(1000), dtype=np.int64)
        self._settings = settings
        self._lock = threading.Lock()  # one inference uses all cores; two at once would only share them

    def detect(self, frame: Picture) -> tuple[DetectedObject, ...]:
        """See ``Detector``."""
        file = self._file
        framed, fit = letterbox(frame, width=file.width, height=file.height, stride=file.stride)
        with self._lock:
            output: Any = self._session.run(None, {file.input_name: to_tensor(framed, file.dtype)})[0]
        found = read_head(
            output,
            confidence=self._settings.confidence,
            iou=self._settings.iou,
            keep=self._keep,
            classes=len(file.names),
            limit=MOST_OBJECTS,
        )
        height, width = frame.shape[:2]
        boxes = fit.to_picture(found.boxes, width=width, height=height)
        return to_objects(boxes, found.scores, found.classes, file.names)
