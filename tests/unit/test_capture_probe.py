"""``vision-stream cameras test``: what a source is, or why it cannot be seen. Real servers, a real child process."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.films import two_cars_driving, write_film
from vision_stream.cli import build
from vision_stream.messages import CameraCommand
from workers.capture.pictures import encode
from workers.capture.probe import Seen, Unseen, probe
from workers.standalone.kept_commands import KEPT_COMMANDS

PASSWORD = "hunter22"


class Camera(http.server.BaseHTTPRequestHandler):
    """Answers by its path."""

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        if kind.isdigit():
            self.send_error(int(kind))
            return
        self.send_response(200)
        if kind == "text":
            body, mime = b"<html>Log in to your camera</html>" * 100, "text/html"
        else:
            jpeg = encode(two_cars_driving(1)[0], 80)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            body, mime = (head + jpeg + b"\r\n") * 50, "multipart/x-mixed-replace; boundary=frame"
        self.send_header("Content-Type", mime)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://admin:{PASSWORD}@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def cause(source: str, timeout_s: float = 5.0, spare_s: float = 5.0) -> str:
    found = probe(source, timeout_s=timeout_s, spare_s=spare_s)
    assert isinstance(found, Unseen), found
    assert PASSWORD not in found.cause
    return found.cause


def test_of_a_film_size_rate_and_codec_are_told(tmp_path: Path):
    film = write_film(tmp_path / "film.avi", two_cars_driving(), fps=12)
    assert probe(str(film)) == Seen(width=320, height=240, fps=12.0, codec="mjpeg")


def test_of_a_camera_behind_http_too(address: str):
    found = probe(f"{address}/video")
    assert isinstance(found, Seen), found
    assert (found.width, found.height, found.codec) == (320, 240, "mjpeg")


@pytest.mark.parametrize(
    ("path", "words"),
    [("401", "user or password"), ("403", "may not see it"), ("404", "no such stream"), ("503", "HTTP 5xx")],
)
def test_a_refusal_is_told_in_words(address: str, path: str, words: str):
    assert words in cause(f"{address}/{path}")


def test_a_page_that_is_no_video_is_told(address: str):
    assert "it sends no video" in cause(f"{address}/text")


def test_a_file_that_is_no_film_is_told(tmp_path: Path):
    (tmp_path / "film.avi").write_bytes(b"nothing of the kind" * 1000)
    assert "wrong codec, or no video" in cause(str(tmp_path / "film.avi"))


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_port_on_which_nothing_listens_is_told(closed_port: int, scheme: str):
    assert "connection refused" in cause(f"{scheme}://admin:{PASSWORD}@127.0.0.1:{closed_port}/stream")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_accepts_and_says_nothing_is_told(scheme: str):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "no frames within 0.5 s" in cause(f"{scheme}://admin:{PASSWORD}@127.0.0.1:{port}/s", timeout_s=0.5)


def test_a_host_that_has_no_address_is_told():
    assert cause(f"rtsp://admin:{PASSWORD}@camera.invalid/stream") == "its host name is not known"


def test_a_driver_that_hangs_is_killed(tmp_path: Path):
    os.mkfifo(tmp_path / "picture.jpg")  # opening it waits for a writer, which never comes
    assert "hung for 3 s" in cause(str(tmp_path), timeout_s=0.5, spare_s=2.0)


# --- the command -------------------------------------------------------------------------------------------------


def write_cameras(directory: Path, *cameras: dict[str, object]) -> Path:
    (directory / "cameras.yaml").write_text(json.dumps({"cameras": cameras}))
    return directory


def run(*arguments: str, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(build(), ["cameras", *arguments], env=environ)
    assert PASSWORD not in done.output
    return done.exit_code, done.stdout


def test_each_enabled_camera_is_tried_and_one_that_cannot_be_seen_fails_the_command(tmp_path: Path, closed_port: int):
    where = write_cameras(
        tmp_path,
        {"id": "gate", "source": f"rtsp://admin:{PASSWORD}@127.0.0.1:{closed_port}/1"},
        {"id": "yard", "source": str(write_film(tmp_path / "film.avi", two_cars_driving()))},
        {"id": "attic", "source": "0", "enabled": False},
    )
    code, said = run("test", "--config-dir", str(where))
    rows = [line.split() for line in said.splitlines()]
    assert code == 1
    assert [row[0] for row in rows[1:3]] == ["gate", "yard"]
    assert "connection refused" in said
    assert rows[2][2:] == ["ok", "320x240", "10.0", "mjpeg"]
    assert "attic" not in said


def test_one_camera_can_be_tried_alone_for_a_script(tmp_path: Path):
    film = str(write_film(tmp_path / "film.avi", two_cars_driving()))
    where = write_cameras(tmp_path, {"id": "yard", "source": film}, {"id": "gate", "source": "no/such.avi"})
    code, said = run("test", "yard", "--json", "--config-dir", str(where))
    row = {"camera": "yard", "source": film, "result": "ok", "size": "320x240", "fps": 10.0, "codec": "mjpeg"}
    assert (code, json.loads(said)) == (0, [row])


def test_all_cameras_are_listed_without_their_passwords(tmp_path: Path):
    zone = {"name": "lane", "kind": "include", "points": [[0, 0], [1, 0], [1, 1]]}
    source = f"rtsp://admin:{PASSWORD}@10.0.0.5/1"
    where = write_cameras(tmp_path, {"id": "gate", "name": "North gate", "source": source, "zones": [zone]})
    code, said = run("list", "--config-dir", str(where))
    assert code == 0
    assert (
        " ".join(said.splitlines()[1].split())
        == "gate North gate rtsp://10.0.0.5/1 2.0 default lane yes configuration -"
    )


def keep(directory: Path, *commands: CameraCommand) -> dict[str, str]:
    """The environment of a process without Kafka that these were told over the API."""
    (directory / KEPT_COMMANDS).write_bytes(msgspec.json.encode(commands))
    return {"ALGO_DATA_DIR": str(directory), "ALGO_GATEWAY_CAMERA_CONTROL": "true"}


def started(camera_id: str, source: str) -> CameraCommand:
    return CameraCommand(camera_id=camera_id, action="start", source=source, at=0)


def test_cameras_of_the_api_are_listed_too_and_who_says_of_each(tmp_path: Path):
    where = write_cameras(tmp_path, {"id": "gate", "source": "0"}, {"id": "attic", "source": "1"})
    stopped = CameraCommand(camera_id="gate", action="stop", at=0)
    environ = keep(tmp_path, stopped, started("yard", "rtsp://10.0.0.5/1"))
    code, said = run("list", "--json", "--config-dir", str(where), environ=environ)
    told = [(r["camera"], r["source"], r["enabled"], r["known_by"], r["command"]) for r in json.loads(said)]
    assert (code, told) == (
        0,
        [
            ("gate", "0", False, "configuration", "stop"),
            ("attic", "1", True, "configuration", None),
            ("yard", "rtsp://10.0.0.5/1", True, "api", "start"),
        ],
    )


def test_a_camera_of_the_api_is_tried_through_its_guard(tmp_path: Path):
    where = write_cameras(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as here:
        here.setblocking(False)
        environ = keep(
            tmp_path, started("yard", "sim:quiet"), started("door", f"rtsp://127.0.0.1:{here.getsockname()[1]}/1")
        )
        code, said = run("test", "--json", "--config-dir", str(where), environ=environ)
        with pytest.raises(BlockingIOError):
            here.accept()  # nobody came
    door, yard = json.loads(said)
    assert (code, yard["result"]) == (1, "ok")
    assert "cameras.api_networks" in door["result"]


def test_while_kafka_is_away_the_configured_cameras_are_listed_and_that_others_are_missing_is_said(
    tmp_path: Path, closed_port: int
):
    where = write_cameras(tmp_path, {"id": "gate", "source": "0"})
    environ = {"ALGO_ENABLE_KAFKA_STREAMING": "true", "ALGO_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{closed_port}"}
    done = CliRunner().invoke(build(), ["cameras", "list", "--config-dir", str(where)], env=environ)
    assert done.exit_code == 0
    assert "gate" in done.stdout
    assert f"Failed to connect to Kafka at 127.0.0.1:{closed_port}" in done.stderr
    assert "none of the API's" in done.stderr
