"""The ultralytics backend: any format that it loads. Heavy (torch) and AGPL-3.0, so imported when it is chosen."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vision_stream.errors import ConfigError
from vision_stream.settings import ModelSettings
from workers.capture.detectors.batching import alike, batching_for
from workers.capture.detectors.labels import wanted_classes
from workers.capture.detectors.objects import MOST_OBJECTS, Objects, to_objects
from workers.capture.detectors.onnx_file import describe, open_session
from workers.capture.sources.base import Picture


class UltralyticsDetector:
    def __init__(self, path: Path, settings: ModelSettings) -> None:
        """
        Raises:
            ConfigError: ultralytics is not installed or cannot load the file, the device is not there, or a class
                in the filter is unknown.
        """
        self.name = path.name
        self._settings = settings
        size = _input_of(path)
        self._model = _load(path)
        self._input = {**size, **_arithmetic(settings)}
        self.batching = batching_for(settings, gpu=self._input["device"] != "cpu")
        self._lock = threading.Lock()  # a model object is not safe to share between threads
        self._names = {int(number): str(name)[:100] for number, name in dict(self._model.names).items()}
        self.labels = tuple(self._names.values())
        self._keep = sorted(wanted_classes(settings.classes, self._names, model=self.name))

    def detect(self, frame: Picture) -> Objects:
        """See ``Detector``."""
        return self.detect_batch([frame])[0]

    def detect_batch(self, frames: Sequence[Picture]) -> list[Objects]:
        """See ``Detector``. Pictures of one shape share a run; a model that was exported for one fails on several."""
        found: dict[int, Objects] = {}
        for places in alike([frame.shape for frame in frames]):
            results = self._run([frames[place] for place in places])
            found |= zip(places, map(self._objects, results), strict=True)
        return [found[place] for place in range(len(frames))]

    def _run(self, frames: list[Picture]) -> list[Any]:
        with self._lock:
            return self._model.predict(
                frames,
                conf=self._settings.confidence,
                iou=self._settings.iou,
                classes=self._keep,
                max_det=MOST_OBJECTS,
                verbose=False,
                **self._input,
            )

    def _objects(self, result: Any) -> Objects:
        found = result.boxes.cpu().numpy()
        surest = np.argsort(-found.conf, kind="stable")
        return to_objects(found.xyxy[surest], found.conf[surest], found.cls[surest].astype(np.int64), self._names)


def _input_of(path: Path) -> dict[str, Any]:
    """The picture size to ask for. Without it ultralytics gives 640 x 640 to an ONNX model that has any free
    dimension, be it only the batch's."""
    if path.suffix.lower() != ".onnx":
        return {}
    file = describe(open_session(path), path)
    return {"imgsz": [file.height, file.width], "rect": file.stride is not None}


def _arithmetic(settings: ModelSettings) -> dict[str, Any]:
    """Device and precision to ask for. ultralytics takes the CPU where ``mps`` is asked for and not there."""
    import torch
    from ultralytics.utils import DEFAULT_CFG

    wanted = settings.device
    gpus = torch.cuda.device_count()
    there = {"auto": True, "cpu": True, "mps": torch.backends.mps.is_available()}
    if not there.get(wanted, int(wanted.partition(":")[2] or 0) < gpus):
        raise ConfigError(
            f"model.device: {wanted}, which PyTorch does not find; it finds {gpus} CUDA GPUs",
            remedy="install a driver and a PyTorch for it, or set it to auto or cpu",
        )
    if wanted == "auto":
        wanted = "cuda:0" if gpus else "mps" if there["mps"] else "cpu"
    if not settings.half or wanted == "cpu":
        return {"device": wanted}
    return {"device": wanted, **({"quantize": 16} if hasattr(DEFAULT_CFG, "quantize") else {"half": True})}


def _load(path: Path) -> Any:
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # it would run pip by itself
    os.environ.setdefault("YOLO_VERBOSE", "false")
    try:
        from ultralytics import YOLO  # type: ignore[attr-defined]
    except ImportError:
        raise ConfigError(
            "the ultralytics detector needs ultralytics, which is not installed",
            remedy="pip install 'vision-stream[yolo]' (AGPL-3.0: see the README), or use the detector onnx",
        ) from None
    try:
        model = YOLO(str(path), task="detect")
        _ = model.names  # loads it
    except Exception as error:  # whatever its format's loader raises
        raise ConfigError(f"model.path: ultralytics cannot load {path}: {_first_line(error)}") from error
    return model


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
