"""The ONNX Runtime backend: no torch, 10 MB of model, for light installs and edge boxes."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_stream.settings import ModelSettings
from workers.capture.detectors.batching import alike, batching_for
from workers.capture.detectors.heads import read_head
from workers.capture.detectors.labels import wanted_classes
from workers.capture.detectors.letterbox import Fit, letterbox, to_tensor
from workers.capture.detectors.objects import MOST_OBJECTS, Objects, to_objects
from workers.capture.detectors.onnx_file import describe, open_session, runs_on_cpu
from workers.capture.sources.base import Picture

PREPARING = 8  # threads at most that scale the pictures of a batch: a GPU would wait for one


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
        self.batching = batching_for(settings, gpu=not runs_on_cpu(self._session), one_by_one=self._file.one_by_one)
        chosen = wanted_classes(settings.classes, self._file.names, model=self.name)
        self._keep = np.array(sorted(chosen) or range(1000), dtype=np.int64)
        self._settings = settings
        self._lock = threading.Lock()  # one inference uses all cores; two at once would only share them
        self._preparing = ThreadPoolExecutor(min(PREPARING, os.cpu_count() or 1), thread_name_prefix="prepare")

    def detect(self, frame: Picture) -> Objects:
        """See ``Detector``."""
        tensor, fit = self._prepared(frame)
        return self._read(self._run(tensor), fit, frame)

    def detect_batch(self, frames: Sequence[Picture]) -> list[Objects]:
        """See ``Detector``. Pictures of one shape share a run of the model."""
        if len(frames) == 1 or self._file.one_by_one:
            return [self.detect(frame) for frame in frames]
        prepared = list(self._preparing.map(self._prepared, frames))
        found: dict[int, Objects] = {}
        for places in alike([tensor.shape for tensor, _ in prepared]):
            output = self._run(np.concatenate([prepared[place][0] for place in places]))
            for row, place in enumerate(places):
                found[place] = self._read(output[row : row + 1], prepared[place][1], frames[place])
        return [found[place] for place in range(len(frames))]

    def _prepared(self, frame: Picture) -> tuple[NDArray[Any], Fit]:
        file = self._file
        framed, fit = letterbox(frame, width=file.width, height=file.height, stride=file.stride)
        return to_tensor(framed, file.dtype), fit

    def _run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            output: Any = self._session.run(None, {self._file.input_name: tensor})[0]
        return output

    def _read(self, output: NDArray[Any], fit: Fit, frame: Picture) -> Objects:
        found = read_head(
            output,
            confidence=self._settings.confidence,
            iou=self._settings.iou,
            keep=self._keep,
            classes=len(self._file.names),
            limit=MOST_OBJECTS,
        )
        height, width = frame.shape[:2]
        boxes = fit.to_picture(found.boxes, width=width, height=height)
        return to_objects(boxes, found.scores, found.classes, self._file.names)
