"""The ONNX Runtime backend: no torch, 10 MB of model, for light installs and edge boxes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from vision_stream.cores import usable_cores
from vision_stream.settings import ModelSettings
from workers.capture.detectors.batching import alike, batching_for
from workers.capture.detectors.heads import read_head
from workers.capture.detectors.labels import wanted_classes
from workers.capture.detectors.letterbox import Fit, letterbox, to_tensor
from workers.capture.detectors.objects import MOST_OBJECTS, Objects, to_objects
from workers.capture.detectors.onnx_file import OnnxFile, describe, open_session, runs_on_cpu
from workers.capture.detectors.sharing import Sharing, share
from workers.capture.sources.base import Picture

_log = structlog.get_logger(__name__)
TRIALS, TRIALS_S = 4, 0.5  # of one inference at the start, to see how many threads it needs; whichever is over first
PREPARING = 8  # threads at most that scale the pictures of a batch: a GPU would wait for one


class OnnxDetector:
    """A YOLO detection model as ultralytics exports it: names, size and stride are read from its metadata."""

    def __init__(self, path: Path, settings: ModelSettings) -> None:
        """
        Raises:
            ConfigError: the file is no ONNX model for detection, or a class in the filter is unknown.
        """
        self._session, self._file, sharing = _open(path, settings)
        self.name = path.name
        self.labels = tuple(self._file.names.values())
        self.batching = batching_for(
            settings, gpu=not runs_on_cpu(self._session), one_by_one=self._file.one_by_one, sharing=sharing
        )
        chosen = wanted_classes(settings.classes, self._file.names, model=self.name)
        self._keep = np.array(sorted(chosen) or range(1000), dtype=np.int64)
        self._settings = settings
        self._room = threading.BoundedSemaphore(self.batching.at_once)  # more would only share the same cores
        self._preparing = ThreadPoolExecutor(min(PREPARING, usable_cores()), thread_name_prefix="prepare")

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
        with self._room:
            return _infer(self._session, self._file, tensor)

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


def _open(path: Path, settings: ModelSettings) -> tuple[Any, OnnxFile, Sharing | None]:
    """A session, what its file says, and on a CPU how its cores are shared out; see ``OnnxDetector`` for errors."""
    session = open_session(path, settings.threads or 1, settings.device)
    file = describe(session, path)
    if not runs_on_cpu(session):
        return session, file, None
    sharing = share(usable_cores(), settings.threads, 0.0 if settings.threads else _seconds(session, file))
    if sharing.threads > 1 and not settings.threads:
        session = open_session(path, sharing.threads, settings.device)
    _log.info("inference shares the cores", model=path.name, at_once=sharing.at_once, threads_each=sharing.threads)
    return session, file, sharing


def _seconds(session: Any, file: OnnxFile) -> float:
    """What a picture takes: the best of a few, as the first finds no memory and others may be at work."""
    tensor = np.zeros((1, 3, file.height, file.width), dtype=file.dtype)
    best, begun = math.inf, time.perf_counter()
    for _ in range(TRIALS):
        started = time.perf_counter()
        _infer(session, file, tensor)
        best = min(best, time.perf_counter() - started)
        if time.perf_counter() - begun > TRIALS_S:
            break
    return best


def _infer(session: Any, file: OnnxFile, tensor: NDArray[Any]) -> NDArray[Any]:
    output: Any = session.run(None, {file.input_name: tensor})[0]
    return output
