import pytest

from tests.builders import a_detection, a_group, an_object
from vision_stream.errors import ConfigError
from vision_stream.settings import Settings
from workers.capture.run import chosen_cameras
from workers.capture.tally import Tally, as_text

TWO = Settings.model_validate(
    {
        "cameras": {
            "cameras": [
                {"id": "north", "source": "sim:crossing", "fps": 5, "prompt_profile": "crossing"},
                {"id": "south", "source": "sim:highway"},
                {"id": "attic", "source": "0", "enabled": False},
            ]
        }
    }
)


def test_without_options_all_enabled_cameras_of_the_file_are_meant():
    assert [camera.id for camera in chosen_cameras(TWO, None, None, None)] == ["north", "south"]


def test_a_camera_of_the_file_can_be_meant_alone_and_looked_at_at_another_rate():
    (camera,) = chosen_cameras(TWO, "north", None, 1.0)
    assert (camera.id, camera.fps, camera.source.get_secret_value()) == ("north", 1.0, "sim:crossing")


def test_a_source_given_to_a_known_camera_keeps_the_rest_of_it():
    (camera,) = chosen_cameras(TWO, "north", "film.avi", None)
    assert (camera.fps, camera.prompt_profile, camera.source.get_secret_value()) == (5, "crossing", "film.avi")


def test_a_source_alone_is_camera_1():
    (camera,) = chosen_cameras(Settings(), None, "film.avi", None)
    assert (camera.id, camera.fps) == ("cam-01", 2.0)


@pytest.mark.parametrize(
    ("settings", "camera", "says"),
    [(TWO, "west", "north, south"), (Settings(), None, "--source"), (Settings(), "west", "--source")],
)
def test_no_camera_to_be_found_says_what_to_give(settings: Settings, camera: str | None, says: str):
    with pytest.raises(ConfigError) as error:
        chosen_cameras(settings, camera, None, None)
    assert says in str(error.value)


async def test_a_run_is_summed_up_in_numbers_and_words():
    now = 100.0
    tally = Tally(clock=lambda: now)
    car, person = an_object(0, "car", track_id=1), an_object(1, "person", track_id=2)
    await tally.detection(a_detection(a_group(0, car, person), objects=(car, person), inference_s=0.01))
    now = 102.0
    await tally.detection(a_detection(sequence=2, inference_s=0.03))
    report = tally.report()
    assert report == {
        "frames": 2,
        "frames_with_objects": 1,
        "objects_by_label": {"car": 1, "person": 1},
        "tracks": 2,
        "groups": 1,
        "largest_group": 2,
        "seconds": pytest.approx(2.01),
        "inference_ms_mean": pytest.approx(20),
        "inference_ms_p95": pytest.approx(30),
    }
    text = as_text("cam-01", "film.avi", "onnx m.onnx", report)
    assert "cam-01: 2 frames of film.avi in 2.0 s" in text
    assert "car 1, person 1; in 1 frames, 2 tracks" in text


def test_a_run_without_a_frame_can_be_summed_up_too():
    assert as_text("cam-01", "0", "onnx m", Tally().report()) == "cam-01: 0 frames of 0 in 0.0 s"
