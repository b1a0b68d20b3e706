"""An ONNX file and what it says about itself: names, input size and task, as ultralytics writes them at export."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_stream.errors import ConfigError

DEFAULT_SIZE = 640  # of a model that takes any size and does not say which it was trained on
STRIDE = 32
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class OnnxFile:
    input_name: str
    dtype: Any  # of the input
    height: int
    width: int
    stride: int | None  # the input may be any multiple of it up to height and width; None: it must be just those
    names: dict[int, str]  # of classes; empty where the file does not say
    one_by_one: bool  # it takes one picture at a time


def open_session(path: Path, threads: int = 0, device: str = "cpu") -> Any:
    """An ONNX Runtime session on ``device``, as ``model.device`` names it.

    Raises:
        ConfigError: ONNX Runtime is not installed, cannot load the file or has no such device.
    """
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
    providers = providers_for(device, onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions have no common base but this
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"model.path: {path} is no ONNX model: {first_line}", remedy="give an .onnx file") from error


def providers_for(device: str, available: Sequence[str]) -> list[Any]:
    """ONNX Runtime's execution providers for a device, the best first; what one cannot do the next does.

    Raises:
        ConfigError: ``device`` is asked for, and this ONNX Runtime cannot use it.

    >>> providers_for("auto", ["CPUExecutionProvider"])
    ['CPUExecutionProvider']
    """
    kind, _, number = device.partition(":")
    wanted = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider", "auto": "CUDAExecutionProvider"}
    provider = wanted.get(kind)
    if provider not in available:
        if kind in ("cuda", "mps"):
            remedy = "pip install onnxruntime-gpu (in place of onnxruntime)" if kind == "cuda" else "set it to cpu"
            raise ConfigError(f"model.device: {device}, which this ONNX Runtime cannot use", remedy=remedy)
        return ["CPUExecutionProvider"]
    return [(provider, {"device_id": int(number)}) if number else provider, "CPUExecutionProvider"]


def runs_on_cpu(session: Any) -> bool:
    """Whether nothing better was there than the CPU, or it was asked for."""
    return session.get_providers()[0] == "CPUExecutionProvider"


def describe(session: Any, path: Path) -> OnnxFile:
    """Raises ConfigError: the model is for another task, or does not take pictures."""
    meta = session.get_modelmeta().custom_metadata_map
    taken = session.get_inputs()[0]
    if meta.get("task", "detect") != "detect":
        raise ConfigError(f"model.path: {path} is for {meta['task']}", remedy="use a model for the task detect")
    if taken.type not in DTYPES or len(taken.shape) != 4:
        raise ConfigError(f"model.path: {path} does not take pictures", remedy="export a YOLO model to ONNX")
    if isinstance(taken.shape[0], int) and taken.shape[0] != 1:
        raise ConfigError(
            f"model.path: {path} takes {taken.shape[0]} pictures at once", remedy="export it with batch=1"
        )
    height, width, stride = _size(taken.shape, meta)
    return OnnxFile(taken.name, DTYPES[taken.type], height, width, stride, _names(meta), taken.shape[0] == 1)


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
