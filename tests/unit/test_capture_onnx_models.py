"""ONNX models as YOLO exports them, made by hand: tiny, with an answer that is known."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vision_stream.errors import ConfigError
from vision_stream.settings import ModelSettings
from workers.capture.detectors import onnx_file, open_detector
from workers.capture.detectors.onnx_file import providers_for

SIZE = 64  # pixels, of the input; the picture has the same, so that boxes come out as they went in
NAMES = {0: "person", 1: "car", 2: "traffic light"}
PICTURE = np.zeros((SIZE, SIZE, 3), np.uint8)


def write_model(
    path: Path,
    answer: np.ndarray,
    *,
    names: dict[int, str] | None = None,
    batch: int | str = 1,
    dtype: int = TensorProto.FLOAT,
    **metadata: str,
) -> Path:
    """A model that takes a picture and always gives ``answer``."""
    kept = numpy_helper.from_array(answer.astype(helper.tensor_dtype_to_np_dtype(dtype)), "answer")
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["known"], value=kept),
            helper.make_node("ReduceMax", ["images"], ["top"], keepdims=0),
            helper.make_node("Mul", ["top", "zero"], ["nothing"]),
            helper.make_node("Add", ["known", "nothing"], ["output0"]),  # so that the picture is used
        ],
        "yolo",
        [helper.make_tensor_value_info("images", dtype, [batch, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", dtype, list(answer.shape))],
        [numpy_helper.from_array(np.zeros((), helper.tensor_dtype_to_np_dtype(dtype)), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    told = {"task": "detect", **({} if names is None else {"names": str(names)}), **metadata}
    helper.set_model_props(model, told)
    onnx.save(model, str(path))
    return path


def raw(*rows: tuple[float, ...]) -> np.ndarray:
    """Of YOLO v8 and 11: (1, 4 + classes, candidates), with as many weak candidates as an input of 64 pixels gives."""
    weak = [(32, 32, 8, 8, *[0.01] * (len(rows[0]) - 4))] * (84 - len(rows))
    return np.array([*rows, *weak], np.float32).T[None]


def suppressed(*rows: tuple[float, ...], room: int = 300) -> np.ndarray:
    """Of YOLO 26, and of any model exported with nms: (1, 300, 6), padded with zeros."""
    return np.array([*rows, *[(0.0,) * 6] * (room - len(rows))], np.float32)[None]


def seen(path: Path, **settings: Any) -> list[tuple[str, float, tuple[float, ...]]]:
    found = open_detector(ModelSettings.model_validate({"path": str(path), **settings})).detect(PICTURE)
    return [(o.label, round(o.confidence, 2), (o.box.x1, o.box.y1, o.box.x2, o.box.y2)) for o in found]


TWO_ON_ONE_CAR = raw((20, 20, 20, 20, 0, 0.9, 0), (21, 20, 20, 20, 0, 0.6, 0), (50, 50, 8, 8, 0, 0, 0.7))
CAR, LIGHT = ("car", 0.9, (10, 10, 30, 30)), ("traffic light", 0.7, (46, 46, 54, 54))


def test_a_head_without_suppression_is_suppressed_here(tmp_path: Path):
    assert seen(write_model(tmp_path / "v8.onnx", TWO_ON_ONE_CAR, names=NAMES)) == [CAR, LIGHT]


def test_a_head_with_suppression_is_taken_as_it_is(tmp_path: Path):
    answer = suppressed((46, 46, 54, 54, 0.7, 2), (10, 10, 30, 30, 0.9, 1), (11, 10, 31, 30, 0.6, 1))
    found = seen(write_model(tmp_path / "v26.onnx", answer, names=NAMES))
    assert found == [CAR, LIGHT, ("car", 0.6, (11, 10, 31, 30))]


def test_the_head_of_a_model_of_2_classes_is_not_taken_for_a_suppressed_one(tmp_path: Path):
    answer = raw((20, 20, 20, 20, 0, 0.9), (50, 50, 8, 8, 0.7, 0))  # 4 + 2 rows: six, as a suppressed one has columns
    found = seen(write_model(tmp_path / "two.onnx", answer, names={0: "person", 1: "car"}))
    assert found == [CAR, ("person", 0.7, (46, 46, 54, 54))]


def test_a_suppressed_head_is_known_whatever_the_number_of_classes(tmp_path: Path):
    many = {number: f"thing {number}" for number in range(296)}  # 4 + 296 = 300 rows, as a raw head would have
    answer = suppressed((10, 10, 30, 30, 0.9, 295))
    assert seen(write_model(tmp_path / "many.onnx", answer, names=many)) == [("thing 295", 0.9, (10, 10, 30, 30))]


@pytest.mark.parametrize("answer", [TWO_ON_ONE_CAR, suppressed((10, 10, 30, 30, 0.9, 1), (46, 46, 54, 54, 0.7, 2))])
def test_a_model_of_16_bits_sees_the_same(tmp_path: Path, answer: np.ndarray):
    path = write_model(tmp_path / "half.onnx", answer, names=NAMES, dtype=TensorProto.FLOAT16)
    assert [(label, box) for label, _, box in seen(path)] == [(CAR[0], CAR[2]), (LIGHT[0], LIGHT[2])]


def test_a_model_with_a_free_batch_is_asked_for_one_picture(tmp_path: Path):
    assert seen(write_model(tmp_path / "free.onnx", TWO_ON_ONE_CAR, names=NAMES, batch="batch")) == [CAR, LIGHT]


def test_pictures_of_a_batch_share_a_run_where_the_model_takes_several(tmp_path: Path):
    model = write_model(tmp_path / "free.onnx", np.repeat(TWO_ON_ONE_CAR, 3, axis=0), names=NAMES, batch="batch")
    detector = open_detector(ModelSettings(path=str(model), max_batch=3))
    found = detector.detect_batch([PICTURE] * 3)  # the answer is one for three pictures: more runs would not fit
    assert [[each.label for each in objects] for objects in found] == [["car", "traffic light"]] * 3
    assert detector.batching.most == 3


def test_a_model_for_one_picture_is_given_the_pictures_of_a_batch_one_by_one(tmp_path: Path):
    model = write_model(tmp_path / "one.onnx", TWO_ON_ONE_CAR, names=NAMES)
    detector = open_detector(ModelSettings(path=str(model), max_batch=8))
    assert detector.detect_batch([PICTURE] * 3) == [detector.detect(PICTURE)] * 3
    assert detector.batching.most == 1  # so that no camera waits for another


def test_a_model_without_names_tells_classes_by_number(tmp_path: Path):
    assert [label for label, *_ in seen(write_model(tmp_path / "m.onnx", TWO_ON_ONE_CAR))] == ["class 1", "class 2"]


@pytest.mark.parametrize("answer", [TWO_ON_ONE_CAR, suppressed((10, 10, 30, 30, 0.9, 1), (46, 46, 54, 54, 0.7, 2))])
@pytest.mark.parametrize("name", ["traffic light", "Traffic_Light", "TRAFFIC-LIGHT"])
def test_classes_are_picked_by_name_with_every_head(tmp_path: Path, answer: np.ndarray, name: str):
    assert seen(write_model(tmp_path / "m.onnx", answer, names=NAMES), classes=[name]) == [LIGHT]


def test_a_model_for_several_pictures_at_once_says_how_to_export_it(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"(?s)8 pictures at once.*batch=1"):
        seen(write_model(tmp_path / "m.onnx", TWO_ON_ONE_CAR, names=NAMES, batch=8))


def test_a_model_for_another_task_is_a_configuration_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="is for segment"):
        seen(write_model(tmp_path / "m.onnx", TWO_ON_ONE_CAR, names=NAMES, task="segment"))


# --- devices -----------------------------------------------------------------------------------------------------

CPU, CUDA, APPLE = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"


@pytest.mark.parametrize(
    ("device", "available", "providers"),
    [
        ("auto", [CPU], [CPU]),
        ("auto", [CUDA, CPU], [CUDA, CPU]),
        ("cpu", [CUDA, CPU], [CPU]),
        ("cuda", [CUDA, CPU], [CUDA, CPU]),
        ("cuda:1", [CUDA, CPU], [(CUDA, {"device_id": 1}), CPU]),
        ("mps", [APPLE, CPU], [APPLE, CPU]),
    ],
)
def test_a_device_is_what_onnx_runtime_calls_it(device: str, available: list[str], providers: list[Any]):
    assert providers_for(device, available) == providers


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_an_error_and_never_quietly_the_cpu(tmp_path: Path, device: str):
    with pytest.raises(ConfigError, match=rf"model\.device: {device}, which this ONNX Runtime cannot use"):
        seen(write_model(tmp_path / "m.onnx", TWO_ON_ONE_CAR, names=NAMES), device=device)


@pytest.mark.ultralytics
@pytest.mark.parametrize("device", ["cuda:7", "mps"])
def test_a_device_that_pytorch_does_not_find_is_an_error(tmp_path: Path, device: str):
    path = write_model(tmp_path / "m.onnx", TWO_ON_ONE_CAR, names=NAMES)
    with pytest.raises(ConfigError, match=rf"model\.device: {device}, which PyTorch does not find"):
        seen(path, backend="ultralytics", device=device)


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(onnx_file).failed == 0
