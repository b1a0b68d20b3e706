"""``vision-stream cameras discover`` as a user starts it: a real multicast search on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.onvif_devices import HOST, PASSWORD, USER, a_camera
from vision_stream import config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="multicast on loopback")


def discover(*args: str, password: str | None = PASSWORD, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALGO_", "CAM_"))}
    given = {"CAM_PASSWORD": password} if password is not None else {}
    program = (sys.executable, "-c", "from vision_stream.cli import main; main()", "cameras", "discover")
    return subprocess.run(
        [*program, *args],
        env=kept | given | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_camera_on_the_network_is_found_with_its_streams_and_lines_that_are_a_configuration(tmp_path: Path):
    with a_camera(
        name="North-gate", multicast=True, username=USER, password=PASSWORD, main_width=1280, main_height=720
    ):
        done = discover("--interface", "lo", "--user", USER, "--timeout", "3")

    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    header, first, second = done.stdout.splitlines()[:3]
    assert header.split() == ["ADDRESS", "NAME", "MODEL", "PROFILE", "SIZE", "FPS", "CODEC", "STREAM"]
    assert first.split("  ")[0] == HOST
    assert "1280x720" in first
    assert second.endswith(f"rtsp://{HOST}:8554/video_sub")

    lines = done.stdout.partition("For config/cameras.yaml:\n\n")[2]
    (tmp_path / "cameras.yaml").write_text(lines)
    (camera,) = config.load(tmp_path, environ={"CAM_PASSWORD": "other"}).cameras.cameras
    assert (camera.id, camera.name) == ("cam-127-0-0-1", "North-gate")
    assert camera.source.get_secret_value() == f"rtsp://{USER}:other@{HOST}:8554/video_main"


def test_json_has_the_same_for_a_script():
    with a_camera(username=USER, password=PASSWORD) as at:
        done = discover("--at", at, "--user", USER, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert [stream["size"] for stream in told["streams"]] == ["1920x1080", "640x360"]
    assert told["cameras_yaml"].startswith("cameras:\n")
    assert PASSWORD not in done.stdout


def test_a_camera_that_cannot_be_asked_is_listed_with_the_cause_and_the_command_says_1():
    with a_camera(username=USER, password=PASSWORD) as at:
        done = discover("--at", at, "--user", USER, password="not-that-one")
    assert done.returncode == 1
    assert "401: user or password is wrong" in done.stdout
    assert "1 of 1 cameras cannot be asked" in done.stderr


def test_no_camera_is_1_and_an_unknown_interface_or_a_missing_password_2():
    assert discover("--interface", "lo", "--timeout", "0.5").returncode == 1

    unknown = discover("--interface", "no-such")
    assert (unknown.returncode, "127.0.0.1" in unknown.stderr) == (2, True)

    without = discover("--user", USER, password=None)
    assert (without.returncode, "CAM_PASSWORD" in without.stderr) == (2, True)
