from __future__ import annotations

import pytest
import yaml

from vision_stream import config
from workers.onvif.device import Device, Profile
from workers.onvif.discover import Camera
from workers.onvif.report import as_yaml, rows
from workers.onvif.soap import Account
from workers.onvif.streams import Refused, as_source, checked

HOST = "10.0.0.5"
ACCOUNT = Account("view er", "p@ss")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rtsp://10.0.0.5:554/s?a=1", "rtsp://10.0.0.5:554/s?a=1"),
        ("rtsp://admin:secret@10.0.0.5/s", "rtsp://10.0.0.5/s"),
        ("http://10.0.0.5/mjpeg", "http://10.0.0.5/mjpeg"),
    ],
)
def test_a_stream_of_the_devices_own_host_is_believed_without_its_password(url: str, told: str):
    assert checked(url, host=HOST, elsewhere=False) == told


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.6/s",
        "rtsp://10.0.0.5@10.0.0.6/s",
        "rtsp://10.0.0.5.example.org/s",
        "rtsp://0x0a000005/s",
        "rtsp://[::1]/s",
        "file:///etc/passwd",
        "exec:touch /tmp/x",
        "concat:rtsp://10.0.0.5/a|/etc/passwd",
        "-i",
        "",
        "rtsp:///s",
        "rtsp://10.0.0.5:99999/s",
        "rtsp://10.0.0.5/a b",
        "rtsp://10.0.0.5/\x1b[31m",
        'rtsp://10.0.0.5/"; rm',
        "rtsp://10.0.0.5/ä",
    ],
)
def test_a_stream_that_leads_elsewhere_or_is_no_url_is_refused(url: str):
    with pytest.raises(Refused):
        checked(url, host=HOST, elsewhere=False)


def test_another_host_is_believed_where_that_is_allowed():
    assert checked("rtsp://10.0.0.6/s", host=HOST, elsewhere=True) == "rtsp://10.0.0.6/s"


def a_camera(*streams: str, name: str = "Gate", why: str = "") -> Camera:
    profiles = tuple(Profile(f"p{n}", 1920, 1080, 25.0, "h264", stream) for n, stream in enumerate(streams))
    return Camera(HOST, name, Device("ACME", "S-1", profiles), why)


def test_the_lines_are_a_configuration_whose_password_comes_from_the_environment(tmp_path):
    lines = as_yaml([a_camera("rtsp://10.0.0.5/main", "rtsp://10.0.0.5/sub")], ACCOUNT)
    assert "p@ss" not in lines
    assert "# or 1920x1080: rtsp://view%20er:${CAM_PASSWORD}@10.0.0.5/sub" in lines

    (tmp_path / "cameras.yaml").write_text(lines)
    (camera,) = config.load(tmp_path, environ={"CAM_PASSWORD": "p%40ss"}).cameras.cameras
    assert (camera.id, camera.name) == ("cam-10-0-0-5", "Gate")
    assert camera.source.get_secret_value() == "rtsp://view%20er:p%40ss@10.0.0.5/main"


def test_what_a_device_wrote_cannot_read_a_variable_of_ours(tmp_path):
    lines = as_yaml([a_camera("rtsp://10.0.0.5/${OPENAI_API_KEY}", name="${OPENAI_API_KEY}")], None)
    (tmp_path / "cameras.yaml").write_text(lines)
    (camera,) = config.load(tmp_path, environ={"OPENAI_API_KEY": "sk-canary"}).cameras.cameras
    assert camera.name == "${OPENAI_API_KEY}"
    assert camera.source.get_secret_value() == "rtsp://10.0.0.5/${OPENAI_API_KEY}"


@pytest.mark.parametrize("name", ["a: b", "- x", "'\"", "x\n  y: z", "#", "!!python/object:x", "{}", "null", "*a"])
def test_a_name_is_a_name_whatever_yaml_makes_of_it(name: str):
    loaded = yaml.safe_load(as_yaml([a_camera("rtsp://10.0.0.5/s", name=name)], None))
    assert [camera["name"] for camera in loaded["cameras"]] == [name]


def test_a_password_that_a_device_puts_into_its_path_is_not_shown():
    stream = "rtsp://10.0.0.5/user=view_password=p@ss_channel=1"
    (row,) = rows([a_camera(stream)], ACCOUNT)
    assert row["stream"] == "rtsp://10.0.0.5/user=view_password=***_channel=1"
    assert as_source(stream, "", "p@ss").endswith("password=${CAM_PASSWORD}_channel=1")


def test_a_device_that_cannot_be_asked_has_a_row_with_the_cause_and_no_lines():
    camera = Camera(HOST, "Gate", None, "401: it wants a user and a password (--user)")
    (row,) = rows([camera], None)
    assert (row["address"], row["stream"], row["why"]) == (HOST, None, camera.why)
    assert as_yaml([camera], None) == ""


def test_the_password_is_in_no_repr():
    assert "p@ss" not in repr(ACCOUNT)
