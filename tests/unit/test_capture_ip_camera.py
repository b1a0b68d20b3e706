"""An IP camera as many are: JPEGs over HTTP, behind a password, that goes quiet and comes back."""

import contextlib
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.films import picture
from workers.capture.pictures import encode
from workers.capture.sources import Link, SourceError
from workers.capture.sources.stream import Stream


class Camera:
    """Serves multipart JPEG at 20 frames a second, ``frames`` of them, and then falls silent without hanging up."""

    def __init__(self, frames: int) -> None:
        self.unplugged = threading.Event()
        self.authorisation: list[str | None] = []
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.authorisation.append(self.headers.get("Authorization"))
                if self.headers.get("Authorization") is None:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    for number in range(frames):
                        jpeg = encode(picture(("car", number, 20, number + 40, 50)), 80)
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                        camera.unplugged.wait(0.05)
                camera.unplugged.wait(20)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://admin:hunter22@127.0.0.1:{self.server.server_port}/video.mjpg"

    def close(self) -> None:
        self.unplugged.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera(frames=60)
    yield camera
    camera.close()


def test_frames_of_an_ip_camera_come_at_the_wanted_rate(camera: Camera):
    started = time.monotonic()
    frames = list(itertools.islice(Stream(camera.url, fps=5).frames(threading.Event()), 6))
    assert [frame.image.shape for frame in frames] == [(240, 320, 3)] * 6
    assert frames[-1].media_s - frames[0].media_s >= 0.8
    assert time.monotonic() - started < 8
    assert camera.authorisation[-1] is not None


def test_an_ip_camera_that_falls_silent_is_given_up_after_the_read_timeout(camera: Camera):
    source = Stream(camera.url, fps=20, link=Link(read_s=0.5))
    started = time.monotonic()
    with pytest.raises(SourceError, match="no frames for") as broken:
        for _ in source.frames(threading.Event()):
            pass
    assert time.monotonic() - started < 10  # 3 s of frames, then the timeout
    assert "hunter22" not in str(broken.value)


def test_a_camera_that_wants_a_password_says_so(camera: Camera):
    without = camera.url.replace("admin:hunter22@", "")
    with pytest.raises(SourceError, match="could not be opened: 401: user or password is wrong or missing"):
        next(iter(Stream(without, fps=5).frames(threading.Event())))


def test_a_camera_that_is_off_says_that_nothing_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    source = Stream(f"rtsp://admin:hunter22@127.0.0.1:{port}/1", fps=5)
    with pytest.raises(SourceError, match="connection refused") as error:
        next(iter(source.frames(threading.Event())))
    assert "hunter22" not in str(error.value)
