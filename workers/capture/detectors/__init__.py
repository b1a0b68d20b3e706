"""Detectors: a picture in, objects out. Two backends behind one protocol, held to one suite of tests.

    onnx         ONNX Runtime: light, no torch; YOLO v8, 11 and 26, with and without suppression in the model
    ultralytics  whatever ultralytics loads; AGPL-3.0, in the extra ``yolo``

``trust`` says which files may be loaded, ``labels`` picks classes by name, ``letterbox`` and ``heads`` are the
arithmetic around an ONNX model, ``batching`` how many pictures one call should get, ``sharing`` how many calls run at
once on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Protocol

from vision_stream.errors import ConfigError
from vision_stream.settings import ModelSettings
from workers.capture.detectors.batching import Batching
from workers.capture.detectors.objects import Objects
from workers.capture.detectors.trust import check_trust
from workers.capture.sources.base import Picture

DEMO_MODEL = "vision-stream-demo.onnx"


class Detector(Protocol):
    """Both ``detect`` methods may be called from several threads; they then wait for room on the device."""

    name: str  # of the model, for messages
    labels: tuple[str, ...]  # what it can report
    batching: Batching  # how many pictures it is worth giving it together, and how often, on the device it runs on

    def detect(self, frame: Picture) -> Objects:
        """Objects in a picture, the surest first, ``object_id`` counting from 0; boxes lie within the picture."""
        ...

    def detect_batch(self, frames: Sequence[Picture]) -> list[Objects]:
        """The same for each of several pictures, one or more, of any sizes. Raises for all where it fails on one."""
        ...


def open_detector(settings: ModelSettings) -> Detector:
    """The detector that the settings describe, its model loaded. Takes from 0.1 s (onnx) to many (torch).

    Raises:
        ConfigError: no such model, one that is not trusted or that this backend cannot use, an unknown class, no such
            device, or the backend is not installed.
    """
    path = model_path(settings.path)
    check_trust(path, settings)
    if settings.backend == "ultralytics":
        from workers.capture.detectors.ultralytics import UltralyticsDetector

        return UltralyticsDetector(path, settings)
    from workers.capture.detectors.onnx import OnnxDetector

    return OnnxDetector(path, settings)


def model_path(path: str) -> Path:
    """Where the model lies; ``demo`` is the shipped one."""
    found = Path(str(resources.files("vision_stream") / "models" / DEMO_MODEL)) if path == "demo" else Path(path)
    if not found.expanduser().exists():
        raise ConfigError(f"model.path: there is no model at {found}", remedy="give the path of a model, or: demo")
    return found.expanduser()
