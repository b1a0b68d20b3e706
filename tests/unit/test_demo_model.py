"""The shipped demo model, through the detector that ships with it, on streets that it was not trained on."""

from __future__ import annotations

import ast
from collections import Counter

import numpy as np
import pytest

from vision_stream.messages import DetectedObject
from vision_stream.settings import ModelSettings
from vision_stream.simulators.traffic import LABELS, SCENE_NAMES, Actor, TrafficScene
from workers.capture.detectors import Detector, model_path, open_detector

onnxruntime = pytest.importorskip("onnxruntime")

MODEL = model_path("demo")
SEEDS = (7, 8, 9)  # small ones, as in demos; training takes its own from 10,000 on


@pytest.fixture(scope="module")
def session():
    return onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_detector(ModelSettings(threads=2))


def found_again(actors: tuple[Actor, ...], objects: tuple[DetectedObject, ...]) -> list[Actor]:
    """The actors of whose label and place there is a detection."""
    return [a for a in actors if any(o.label == a.label and iou(o, a) >= 0.5 for o in objects)]


def iou(found: DetectedObject, actor: Actor) -> float:
    ours, (x1, y1, x2, y2) = found.box, actor.box
    shared = max(0.0, min(ours.x2, x2) - max(ours.x1, x1)) * max(0.0, min(ours.y2, y2) - max(ours.y1, y1))
    union = (ours.x2 - ours.x1) * (ours.y2 - ours.y1) + (x2 - x1) * (y2 - y1) - shared
    return shared / union


def test_it_is_small_enough_to_ship():
    assert MODEL.stat().st_size < 12_000_000


def test_it_says_what_it_is(session):
    meta = session.get_modelmeta().custom_metadata_map
    assert ast.literal_eval(meta["names"]) == dict(enumerate(LABELS))
    assert ast.literal_eval(meta["imgsz"]) == [256, 448]
    assert meta["license"] == "AGPL-3.0"
    assert "/" not in meta["description"]


def test_a_batch_gives_what_its_pictures_give_one_by_one(session):
    pictures = np.random.default_rng(0).random((3, 3, 256, 448), dtype=np.float32)
    together = session.run(None, {"images": pictures})[0]
    alone = np.concatenate([session.run(None, {"images": picture[None]})[0] for picture in pictures])
    assert together.shape == (3, 4 + len(LABELS), 2352)
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-2)


def test_it_finds_most_actors_and_invents_few(detector: Detector):
    true, found, right = Counter[str](), Counter[str](), Counter[str]()
    for name in SCENE_NAMES:
        for seed in SEEDS:
            scene = TrafficScene(name, seed=seed)
            for t in (12.0, 37.5, 71.0):
                actors, objects = scene.truth(t).actors, detector.detect(scene.render(t))
                true.update(a.label for a in actors)
                found.update(o.label for o in objects)
                right.update(a.label for a in found_again(actors, objects))
    assert right.total() / true.total() >= 0.75, (true, right)
    assert right.total() / found.total() >= 0.75, (found, right)
    assert all(right[label] for label in LABELS), right
