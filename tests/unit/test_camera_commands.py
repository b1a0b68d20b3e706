from __future__ import annotations

import pytest

from vision_stream.camera_commands import effective
from vision_stream.errors import MessageError
from vision_stream.messages import CameraCommand, decode, encode
from vision_stream.settings import CameraSettings


def configured(camera_id: str = "cam-01", **fields: object) -> CameraSettings:
    return CameraSettings.model_validate({"id": camera_id, "source": "rtsp://viewer:hunter22@10.0.0.5/1", **fields})


def start(camera_id: str = "cam-01", **fields: object) -> CameraCommand:
    return decode(encode(CameraCommand(camera_id=camera_id, action="start", at=100.0, **fields)), CameraCommand)  # type: ignore[arg-type]


def stop(camera_id: str = "cam-01") -> CameraCommand:
    return CameraCommand(camera_id=camera_id, action="stop", at=100.0)


def watched(*cameras: CameraSettings, commands: tuple[CameraCommand, ...] = ()) -> list[str]:
    return [camera.id for camera in effective(cameras, {command.camera_id: command for command in commands})]


def test_without_commands_the_enabled_cameras_are_watched():
    assert watched(configured("cam-01"), configured("cam-02", enabled=False)) == ["cam-01"]


def test_a_stopped_camera_is_not_watched():
    assert watched(configured("cam-01"), configured("cam-02"), commands=(stop("cam-01"),)) == ["cam-02"]


def test_a_camera_that_is_not_enabled_can_be_started_from_its_own_source():
    cameras = (configured("cam-01", enabled=False, fps=5),)

    (camera,) = effective(cameras, {"cam-01": start(fps=1.5, name="North", prompt_profile="site")})

    assert camera.source == cameras[0].source
    assert (camera.fps, camera.name, camera.prompt_profile) == (1.5, "North", "site")
    assert camera.enabled


def test_a_command_never_changes_from_where_a_configured_camera_is_watched():
    (camera,) = effective([configured()], {"cam-01": start(source="rtsp://10.0.0.9/other")})

    assert camera == configured()


def test_a_camera_that_only_a_command_describes_is_watched_through_the_guard():
    (camera,) = effective([], {"new": start("new", source="rtsp://10.0.0.9/1", fps=4)})

    assert camera.source.get_secret_value() == "guarded:rtsp://10.0.0.9/1"
    assert (camera.id, camera.fps) == ("new", 4)


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "file:///etc/passwd", "0", "guarded:file:///etc/passwd", " sim:quiet"]
)
def test_whatever_a_command_names_as_a_source_goes_to_the_guard(source: str):
    (camera,) = effective([], {"new": start("new", source=source)})

    assert camera.source.get_secret_value() == f"guarded:{source}"


def test_a_simulated_scene_needs_no_guard():
    (camera,) = effective([], {"new": start("new", source="sim:crossing?seed=3")})

    assert camera.source.get_secret_value() == "sim:crossing?seed=3"


def test_a_command_for_a_camera_that_nobody_describes_watches_nothing():
    assert watched(configured("cam-01"), commands=(start("gone"), stop("other"))) == ["cam-01"]


def test_added_cameras_come_after_the_configured_ones_in_the_order_of_their_ids():
    added = (start("b", source="sim:quiet"), start("a", source="sim:quiet"))

    assert watched(configured("z"), configured("y"), commands=added) == ["z", "y", "a", "b"]


@pytest.mark.parametrize(
    "field", [b'"fps":0', b'"fps":1e9', b'"camera_id":"../x"', b'"action":"exec"', b'"source":""', b'"at":-1'], ids=str
)
def test_a_command_out_of_bounds_is_no_command(field: bytes):
    name = field.partition(b":")[0]
    fields = {b'"camera_id"': b'"camera_id":"cam-01"', b'"action"': b'"action":"start"', b'"at"': b'"at":1'}
    fields[name] = field

    with pytest.raises(MessageError):
        decode(b"{" + b",".join(fields.values()) + b"}", CameraCommand)
