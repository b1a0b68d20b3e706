"""ONNX files that other packages bring, opened without importing the packages, and the pictures that they take."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2

from vision_stream.errors import ConfigError
from workers.capture.sources.base import Picture

STRIDE = 32
LONGEST_SIDE = 768  # to which a smaller picture is enlarged, at most twice: more invents nothing that could be found


def model_file(package: str, name: str, *, kind: str) -> Path:
    """
    Raises:
        ConfigError: ``package`` is not installed, or has no file ``name``.
    """
    spec = find_spec(package)
    path = Path(spec.origin).parent / name if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        distribution = package.replace("_", "-")
        raise ConfigError(
            f"evidence.redact: {kind} need the package {distribution}, which is not installed",
            remedy="pip install 'vision-stream[redaction]', or take it off evidence.redact",
        )
    return path


def open_model(model: str | bytes) -> Any:
    """An ONNX Runtime session of ``model``, a path or a model itself, that uses one core.

    Raises:
        ConfigError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            "evidence.redact needs ONNX Runtime, which is not installed",
            remedy="pip install 'vision-stream[redaction]'",
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the detector has the others, and several cameras are looked at beside each other
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def fitted(picture: Picture) -> tuple[Picture, float]:
    """``picture``, enlarged where it is small and filled up to whole strides; and by which factor it was enlarged."""
    factor = min(2.0, max(1.0, LONGEST_SIDE / max(picture.shape[:2])))
    if factor > 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    height, width = picture.shape[:2]
    filled = cv2.copyMakeBorder(picture, 0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_REPLICATE)
    return filled, factor
