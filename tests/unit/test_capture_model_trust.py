"""A model file that is a program runs nothing before somebody has allowed that very file."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from vision_stream.errors import ConfigError
from vision_stream.settings import ModelSettings
from workers.capture.detectors import open_detector
from workers.capture.detectors.trust import check_trust

WRONG = "0" * 64


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self):
        return Path.touch, (self._marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


def hostile(path: Path, marker: Path) -> Path:
    path.write_bytes(pickle.dumps(Hostile(marker)))
    return path


def settings_for(path: Path, **settings: object) -> ModelSettings:
    return ModelSettings.model_validate({"backend": "ultralytics", "path": str(path), **settings})


def test_the_hostile_file_of_these_tests_would_run(tmp_path: Path, marker: Path):
    pickle.loads(hostile(tmp_path / "model.pt", marker).read_bytes())
    assert marker.exists()


@pytest.mark.parametrize("backend", ["onnx", "ultralytics"])
@pytest.mark.parametrize("name", ["model.pt", "MODEL.PT", "model.pth", "model.torchscript", "model.engine", "model"])
def test_a_program_is_refused_unless_it_is_allowed(tmp_path: Path, marker: Path, name: str, backend: str):
    with pytest.raises(ConfigError, match=r"(?s)can run code.*model\.allow_code"):
        open_detector(settings_for(hostile(tmp_path / name, marker), backend=backend))
    assert not marker.exists()


def test_the_flag_alone_does_not_do_and_the_error_says_which_file_is_there(tmp_path: Path, marker: Path):
    path = hostile(tmp_path / "model.pt", marker)
    with pytest.raises(ConfigError) as error:
        open_detector(settings_for(path, allow_code=True))
    assert "model.sha256" in str(error.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(error.value)
    assert not marker.exists()


def test_a_program_with_another_hash_is_refused_and_both_are_said(tmp_path: Path, marker: Path):
    path = hostile(tmp_path / "model.pt", marker)
    with pytest.raises(ConfigError) as error:
        open_detector(settings_for(path, allow_code=True, sha256=WRONG))
    assert WRONG in str(error.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(error.value)
    assert not marker.exists()


@pytest.mark.ultralytics
def test_a_pickle_that_calls_itself_onnx_is_not_unpickled(tmp_path: Path, marker: Path):
    with pytest.raises(ConfigError, match="is no ONNX model"):
        open_detector(settings_for(hostile(tmp_path / "model.onnx", marker)))
    assert not marker.exists()


def test_a_directory_that_may_hold_a_program_is_refused(tmp_path: Path):
    (tmp_path / "yolo_saved_model").mkdir()
    with pytest.raises(ConfigError, match="may hold a program"):
        open_detector(settings_for(tmp_path / "yolo_saved_model", allow_code=True, sha256=WRONG))


def test_a_program_that_is_allowed_by_its_hash_in_either_case_is_trusted(tmp_path: Path, marker: Path):
    path = hostile(tmp_path / "model.pt", marker)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    check_trust(path, settings_for(path, allow_code=True, sha256=digest.upper()))


def test_plain_data_needs_neither_and_is_compared_where_a_hash_is_given(tmp_path: Path):
    (tmp_path / "yolo_openvino_model").mkdir()
    check_trust(tmp_path / "yolo_openvino_model", settings_for(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"data")
    check_trust(tmp_path / "model.onnx", settings_for(tmp_path))
    with pytest.raises(ConfigError, match=WRONG):
        check_trust(tmp_path / "model.onnx", settings_for(tmp_path, sha256=WRONG))
