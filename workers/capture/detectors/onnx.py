"""The ONNX Runtime backend: no torch, 10 MB of model, for light installs and edge boxes."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import Any

import numpy as np

from vision_stream.errors import ConfigError
from vision_stream.messages import DetectedObject
from vision_stream.settings import ModelSettings
from workers.capture.detectors.heads import read_head
from workers.capture.detectors.labels import wanted_classes
from workers.capture.detectors.letterbox import letterbox, to_tensor
from workers.capture.detectors.objects import MOST_OBJECTS, to_objects
from workers.capture.sources.base import Picture

DEFAULT_SIZE = 640  # of a model that takes any size and does not say which it was trained on
STRIDE = 32


class OnnxDetector:
    """A YOLO detection model as ultralytics exports it: names, size and stride are read from its metadata."""

    def __init__(self, path: Path, settings: ModelSettings) -> None:
        """
        Raises:
            ConfigError: the file is no ONNX model for detection, or a class in the filter is unknown.
        """
        self._session = _open(path, settings.threads)
        meta = self._session.get_modelmeta().custom_metadata_map
        if meta.get("task", "detect") != "detect":
            raise ConfigError(f"model.path: {path} is for {meta['task']}", remedy="use a model for the task detect")
        self.name = path.name
        self._names = _names(meta)
        self.labels = tuple(self._names.values())
        chosen = wanted_classes(settings.classes, self._names, model=self.name)
        self._keep = np.array(sorted(chosen) or range(1000), dtype=np.int64)
        self._settings = settings
        self._input = self._session.get_inputs()[0]
        self._dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16}.get(self._input.type)
        if self._dtype is None or len(self._input.shape) != 4:
            raise ConfigError(f"model.path: {path} does not take pictures", remedy="export a YOLO model to ONNX")
        self._height, self._width, self._stride = _size(self._input.shape, meta)
        self._lock = threading.Lock()  # one inference uses all cores; two at once would only share them

    def detect(self, frame: Picture) -> tuple[DetectedObject, ...]:
        """See ``Detector``."""
        framed, fit = letterbox(frame, width=self._width, height=self._height, stride=self._stride)
        with self._lock:
            output: Any = self._session.run(None, {self._input.name: to_tensor(framed, self._dtype)})[0]
        found = read_head(
            output,
            confidence=self._settings.confidence,
            iou=self._settings.iou,
            keep=self._keep,
            classes=len(self._names),
            limit=MOST_OBJECTS,
        )
        height, width = frame.shape[:2]
        boxes = fit.to_picture(found.boxes, width=width, height=height)
        return to_objects(boxes, found.scores, found.classes, self._names)


def _open(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            "the onnx detector needs ONNX Runtime, which is not installed", remedy="pip install onnxruntime"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    # Threads that spin between frames cost a core for nothing at 2 frames a second.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=_providers(onnxruntime))
    except Exception as error:  # its exceptions have no common base but this
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"model.path: {path} is no ONNX model: {first_line}", remedy="give an .onnx file") from error


def _providers(onnxruntime: Any) -> list[str]:
    preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [provider for provider in preferred if provider in onnxruntime.get_available_providers()]


def _names(meta: dict[str, str]) -> dict[int, str]:
    try:
        names = ast.literal_eval(meta.get("names", "{}"))
    except (ValueError, SyntaxError):
        return {}
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(number): str(name)[:100] for number, name in pairs}


def _size(shape: list[Any], meta: dict[str, str]) -> tuple[int, int, int | None]:
    """Input height, width, and the stride where the model takes any size (else None)."""
    if all(isinstance(side, int) and side > 0 for side in shape[2:]):
        return shape[2], shape[3], None
    try:
        height, width = ast.literal_eval(meta["imgsz"])
        return int(height), int(width), int(meta.get("stride", STRIDE))
    except (KeyError, ValueError, SyntaxError, TypeError):
        return DEFAULT_SIZE, DEFAULT_SIZE, STRIDE
