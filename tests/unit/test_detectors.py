"""Both backends, one behaviour: on the shipped model and simulated scenes."""

import doctest
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vision_stream.cores import usable_cores
from vision_stream.errors import ConfigError
from vision_stream.messages import Box, DetectedObject
from vision_stream.settings import ModelSettings
from vision_stream.simulators.traffic import parse_scene
from workers.capture.detectors import Detector, labels, open_detector
from workers.capture.detectors.heads import read_head
from workers.capture.detectors.labels import wanted_classes
from workers.capture.detectors.letterbox import letterbox, to_tensor

NAMES = {0: "person", 1: "car", 2: "traffic light"}
SCENES = ("sim:crossing?seed=3", "sim:junction?seed=8", "sim:highway?seed=2", "sim:site?seed=4")


@pytest.fixture(scope="module", params=["onnx", pytest.param("ultralytics", marks=pytest.mark.ultralytics)])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def detector(backend: str) -> Detector:
    return an_open_detector(backend)


def an_open_detector(backend: str, **settings: object) -> Detector:
    return open_detector(ModelSettings.model_validate({"backend": backend, **settings}))


def overlap(a: Box, b: Box) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    shared = max(0.0, width) * max(0.0, height)
    return shared / ((a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - shared)


def scene_pictures(count: int = 3) -> list[np.ndarray]:
    return [parse_scene(address).render(10.0 + 7 * i) for address in SCENES for i in range(count)]


# --- the suite ---------------------------------------------------------------------------------------------------


def test_road_users_of_a_simulated_scene_are_found(detector: Detector):
    scene = parse_scene("sim:crossing?seed=3")
    actors = [actor for actor in scene.truth(20.0).actors if (actor.box[3] - actor.box[1]) > 30]
    found = detector.detect(scene.render(20.0))
    hits = [any(overlap(Box(*actor.box), each.box) > 0.5 for each in found) for actor in actors]
    assert sum(hits) >= 0.7 * len(hits)


def test_objects_are_numbered_the_surest_first_and_lie_in_the_picture(detector: Detector):
    picture = scene_pictures(1)[0]
    found = detector.detect(picture)
    assert [each.object_id for each in found] == list(range(len(found)))
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)
    height, width = picture.shape[:2]
    assert all(0 <= o.box.x1 < o.box.x2 <= width and 0 <= o.box.y1 < o.box.y2 <= height for o in found)
    assert all(o.label in detector.labels for o in found)


def test_an_empty_picture_has_no_objects(detector: Detector):
    assert detector.detect(np.full((480, 640, 3), 114, np.uint8)) == ()


def test_pictures_in_a_batch_give_what_each_gives_by_itself(detector: Detector):
    pictures = scene_pictures(2)
    pictures.insert(3, pictures[1][:, :700].copy())  # of another shape, and so with another input to the model
    pictures.insert(5, np.full((480, 640, 3), 114, np.uint8))
    together = detector.detect_batch(pictures)
    assert len(together) == len(pictures)
    for picture, found in zip(pictures, together, strict=True):
        assert_same(found, detector.detect(picture), least=0.99)


def test_pictures_that_are_looked_at_at_once_do_not_mix(detector: Detector):
    pictures = scene_pictures(2)
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(detector.detect, pictures))
    for picture, found in zip(pictures, at_once, strict=True):
        assert_same(found, detector.detect(picture), least=0.99)


def test_cores_are_used_by_several_inferences_where_one_does_not_need_them():
    assert an_open_detector("onnx", threads=1).batching.at_once == usable_cores()


@pytest.mark.parametrize(("height", "width"), [(37, 91), (720, 1280), (1000, 200), (1, 1)])
def test_a_picture_of_any_shape_is_looked_at(detector: Detector, height: int, width: int):
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    assert isinstance(detector.detect(noise), tuple)


def test_a_picture_is_not_changed(detector: Detector):
    picture = scene_pictures(1)[0]
    before = picture.copy()
    detector.detect(picture)
    assert (picture == before).all()


def test_only_wanted_classes_are_reported(backend: str):
    cars_only = an_open_detector(backend, classes=["CAR"])
    found = [each for picture in scene_pictures(2) for each in cars_only.detect(picture)]
    assert {each.label for each in found} == {"car"}


def test_an_unknown_class_is_a_configuration_error_that_names_the_nearest(backend: str):
    with pytest.raises(ConfigError, match="did you mean person"):
        an_open_detector(backend, classes=["persn"])


def test_nothing_below_the_wanted_confidence_is_reported(backend: str):
    sure = an_open_detector(backend, confidence=0.8)
    assert all(each.confidence >= 0.8 for picture in scene_pictures(1) for each in sure.detect(picture))


def test_a_file_that_is_no_model_is_a_configuration_error(backend: str, tmp_path, request: pytest.FixtureRequest):
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigError, match=r"model\.path"):
        an_open_detector(backend, path=str(tmp_path / "model.onnx"))


def test_a_missing_model_is_a_configuration_error(backend: str):
    with pytest.raises(ConfigError, match="no model at"):
        an_open_detector(backend, path="no/such/model.onnx")


@pytest.mark.ultralytics
def test_a_pickled_model_is_refused_unless_allowed(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"a pickle")
    with pytest.raises(ConfigError, match="can run code"):
        an_open_detector("ultralytics", path=str(tmp_path / "model.pt"))


@pytest.mark.ultralytics
def test_both_backends_see_the_same_objects():
    onnx, ultralytics = an_open_detector("onnx"), an_open_detector("ultralytics")
    for picture in scene_pictures():
        assert_same(onnx.detect(picture), ultralytics.detect(picture))


def assert_same(left: tuple[DetectedObject, ...], right: tuple[DetectedObject, ...], least: float = 0.9) -> None:
    """The same objects, but for those whose confidence is so near the limit that rounding decides."""
    for these, those in ((left, right), (right, left)):
        for found in (each for each in these if each.confidence > 0.37):
            twin = max(those, key=lambda other: overlap(found.box, other.box))
            assert overlap(found.box, twin.box) >= least
            assert twin.label == found.label
            assert twin.confidence == pytest.approx(found.confidence, abs=0.02)


# --- the arithmetic around a model -------------------------------------------------------------------------------


def test_class_names_are_found_whatever_their_case_and_dashes():
    assert wanted_classes(["PERSON", "traffic_light"], NAMES, model="m") == {0, 2}
    assert wanted_classes([], NAMES, model="m") == {0, 1, 2}


def test_a_name_like_none_of_a_models_lists_what_it_knows():
    with pytest.raises(ConfigError, match="it knows person, car, traffic light"):
        wanted_classes(["zebra"], NAMES, model="m")


@pytest.mark.parametrize("shape", [(720, 1280), (480, 640), (1080, 607), (100, 1000), (416, 416)])
@pytest.mark.parametrize("stride", [None, 32])
def test_a_box_fitted_into_the_input_comes_back_to_its_place(shape: tuple[int, int], stride: int | None):
    picture = np.zeros((*shape, 3), np.uint8)
    framed, fit = letterbox(picture, width=416, height=416, stride=stride)
    inside = np.array([[10, 20, 90, 80]], np.float32) * fit.gain + [fit.left, fit.top, fit.left, fit.top]
    assert framed.shape[0] <= 416
    assert framed.shape[1] <= 416
    assert fit.to_picture(inside, width=shape[1], height=shape[0])[0] == pytest.approx([10, 20, 90, 80], abs=1)
    if stride:
        assert framed.shape[0] % stride == framed.shape[1] % stride == 0


def test_a_tensor_is_rgb_from_0_to_1():
    blue = np.zeros((2, 3, 3), np.uint8)
    blue[..., 0] = 255
    tensor = to_tensor(blue)
    assert tensor.shape == (1, 3, 2, 3)
    assert tensor[0, 2].min() == 1.0
    assert tensor[0, :2].max() == 0.0


KEEP_ALL = np.arange(3)


def raw_head(*rows: tuple[float, ...]) -> np.ndarray:
    """(1, 4 + 3 classes, n) of rows: centre x, centre y, width, height and three scores."""
    return np.array(rows, np.float32).T[None]


def read(output: np.ndarray, keep: np.ndarray = KEEP_ALL, limit: int = 300):
    return read_head(output, confidence=0.3, iou=0.5, keep=keep, classes=3, limit=limit)


def test_of_two_boxes_of_a_class_on_one_object_the_surer_stays():
    found = read(raw_head((50, 50, 20, 20, 0, 0.6, 0), (51, 50, 20, 20, 0, 0.9, 0), (150, 50, 20, 20, 0, 0.5, 0)))
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.boxes[0].tolist() == [41, 40, 61, 60]


def test_objects_of_two_classes_in_one_place_both_stay():
    found = read(raw_head((50, 50, 20, 20, 0.7, 0, 0), (50, 50, 20, 20, 0, 0.9, 0)))
    assert found.classes.tolist() == [1, 0]


def test_weak_boxes_and_unwanted_classes_are_left_out():
    found = read(raw_head((50, 50, 20, 20, 0.2, 0, 0), (90, 50, 20, 20, 0, 0.9, 0)), keep=np.array([0]))
    assert len(found.scores) == 0


def test_an_end_to_end_head_is_read_as_it_is():
    output = np.array([[[1, 2, 30, 40, 0.5, 1], [5, 6, 70, 80, 0.8, 0], [0, 0, 0, 0, 0, 0]]], np.float32)
    found = read(output)
    assert found.boxes.tolist() == [[5, 6, 70, 80], [1, 2, 30, 40]]
    assert found.classes.tolist() == [0, 1]


def test_no_more_objects_than_the_limit_the_surest_first():
    rows = [(50 * i, 50, 20, 20, 0, 0.4 + i / 100, 0) for i in range(20)]
    found = read(raw_head(*rows), limit=5)
    assert found.scores.tolist() == pytest.approx([0.59, 0.58, 0.57, 0.56, 0.55])


@pytest.mark.parametrize("shape", [(1, 1000), (1, 12, 8400), (2, 7, 100), (1, 3, 4, 5)])
def test_the_output_of_another_kind_of_model_is_a_configuration_error(shape: tuple[int, ...]):
    with pytest.raises(ConfigError, match="not that of a YOLO"):
        read(np.zeros(shape, np.float32))


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(labels).failed == 0
