import contextlib
import functools
import http.server
import itertools
import threading
import time
from pathlib import Path

import cv2
import psutil
import pytest

from tests.films import picture, two_cars_driving, write_film, write_h264
from tests.waiting import eventually
from vision_stream.errors import ConfigError
from workers.capture.sources import FrameSource, Link, SourceError, open_source
from workers.capture.sources.isolated import Isolated
from workers.capture.sources.stream import Stream
from workers.capture.sources.webcam import Webcam


def all_frames(source: FrameSource, limit: int = 1000):
    return list(itertools.islice(source.frames(threading.Event()), limit))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.avi", two_cars_driving(20), fps=10.0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(("car", 10 * number, 10, 10 * number + 20, 30)))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_a_film_played_once_yields_each_wanted_frame_and_ends(film: Path):
    frames = all_frames(open_source(str(film), fps=5, loop=False, realtime=False))
    assert [frame.media_s for frame in frames] == pytest.approx([i / 5 for i in range(10)])
    assert frames[0].image.shape == (240, 320, 3)


def test_a_film_as_fast_as_can_be_does_not_take_its_own_time(film: Path):
    started = time.monotonic()
    all_frames(open_source(str(film), fps=10, loop=False, realtime=False))
    assert time.monotonic() - started < 1.0  # the film is 2 s long


def test_a_film_in_real_time_takes_its_own_time(film: Path):
    started = time.monotonic()
    frames = all_frames(open_source(str(film), fps=10, loop=False, realtime=True), limit=8)
    assert 0.65 <= time.monotonic() - started < 3
    assert len(frames) == 8


def test_a_looped_film_goes_on_and_its_clock_never_falls(film: Path):
    frames = all_frames(open_source(str(film), fps=10, loop=True, realtime=False), limit=50)
    times = [frame.media_s for frame in frames]
    assert len(times) == 50
    assert times == sorted(set(times))


def test_pictures_come_in_the_order_of_their_names(pictures: Path):
    frames = all_frames(open_source(str(pictures), fps=2, loop=False, realtime=False))
    assert [frame.media_s for frame in frames] == [0, 0.5, 1.0]
    assert (frames[2].image[20, 30] == (0, 0, 255)).all()


def test_a_picture_that_cannot_be_read_is_left_out(pictures: Path):
    (pictures / "1.png").write_bytes(b"not a PNG")
    assert len(all_frames(open_source(str(pictures), fps=2, loop=False, realtime=False))) == 2


def test_a_directory_without_pictures_is_said_to_be_one(tmp_path: Path):
    with pytest.raises(SourceError, match="holds no picture"):
        all_frames(open_source(str(tmp_path), fps=2, loop=True, realtime=True))


def test_a_file_that_is_no_film_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "film.avi").write_bytes(b"RIFF but nothing of the kind")
    with pytest.raises(SourceError, match=r"film\.avi"):
        all_frames(open_source(str(tmp_path / "film.avi"), fps=2))


def test_a_simulated_scene_is_drawn_at_the_wanted_rate():
    source = open_source("sim:quiet?width=320&height=240&fps=20", fps=20)
    frames = all_frames(source, limit=5)
    assert [frame.image.shape for frame in frames] == [(240, 320, 3)] * 5
    assert frames[-1].captured_at - frames[0].captured_at >= 0.15


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("no/such/film.avi", "no file, directory, URL", id="missing file"),
        pytest.param("sim:moon", "crossing", id="unknown scene"),
        pytest.param("ftp://host/film", "rtsp", id="unknown scheme"),
        pytest.param("", "no file, directory, URL", id="nothing"),
    ],
)
def test_what_is_no_source_is_a_configuration_error_that_says_what_is(source: str, says: str):
    with pytest.raises(ConfigError, match=says):
        open_source(source, fps=2)


@pytest.mark.parametrize(
    ("source", "live"), [("0", True), ("/dev/video1", True), ("rtsp://10.0.0.1/a", True), ("sim:quiet", True)]
)
def test_cameras_are_live_and_come_back_when_they_break_off(source: str, live: bool):
    assert open_source(source, fps=2).live is live


@pytest.mark.parametrize(
    ("source", "kind"),
    [("rtsp://10.0.0.1/a", Isolated), ("RTSP://10.0.0.1/a", Isolated), ("http://10.0.0.1/a", Stream), ("0", Webcam)],
)
def test_only_rtsp_over_udp_needs_a_process_of_its_own(source: str, kind: type):
    assert isinstance(open_source(source, fps=2, link=Link("udp")), kind)
    assert not isinstance(open_source(source, fps=2, link=Link("tcp")), Isolated)


def test_where_there_is_no_such_process_udp_is_an_error_that_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(ConfigError, match="rtsp_transport cannot be udp on Windows") as error:
        open_source("rtsp://10.0.0.1/a", fps=2, link=Link("udp"))
    assert "set it to tcp" in str(error.value)


def test_a_films_generator_releases_its_file_when_it_is_closed_early(film: Path):
    frames = open_source(str(film), fps=10, realtime=False).frames(threading.Event())
    next(iter(frames))
    with contextlib.closing(frames):  # type: ignore[type-var]
        pass
    film.unlink()
    assert not film.exists()


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(film: Path):
    handler = functools.partial(_Files, directory=str(film.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}/{film.name}"
        server.shutdown()


def test_a_recording_behind_a_url_is_played_at_its_own_speed(served: str):
    started = time.monotonic()
    frames = all_frames(open_source(f"http://{served}", fps=10), limit=6)
    assert len(frames) == 6
    assert time.monotonic() - started >= 0.45


def test_a_stream_that_ends_has_broken_off(served: str):
    with pytest.raises(SourceError, match="ended"):
        all_frames(open_source(f"http://{served}", fps=10))


def native_threads() -> int:
    return psutil.Process().num_threads() - threading.active_count()


async def test_a_stream_is_decoded_by_its_reader_alone_as_each_thread_more_would_hold_back_a_frame(
    served: str, film: Path
):
    write_h264(film.parent / "stream.ts", two_cars_driving(20), fps=10)
    source = open_source(f"http://{served.replace(film.name, 'stream.ts')}", fps=10)
    before = native_threads()
    with contextlib.closing(source.frames(threading.Event())) as frames:  # type: ignore[type-var]
        next(iter(frames))
        await eventually(lambda: native_threads() <= before)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_password_in_a_url_reaches_neither_an_error_nor_the_console(scheme: str, capfd: pytest.CaptureFixture[str]):
    source = open_source(f"{scheme}://admin:hunter22@127.0.0.1:9/stream?token=topsecret", fps=2)
    with pytest.raises(SourceError) as broken:
        all_frames(source)
    out, err = capfd.readouterr()
    for text in (str(broken.value), source.name, out, err):
        assert "hunter22" not in text
        assert "topsecret" not in text
    assert "127.0.0.1:9" in source.name


def test_a_camera_that_accepts_and_then_says_nothing_is_given_up_after_the_timeout():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        source = Stream(f"rtsp://127.0.0.1:{port}/a", fps=2, link=Link(open_s=0.5, read_s=0.5))
        started = time.monotonic()
        with pytest.raises(SourceError):
            all_frames(source)
    assert time.monotonic() - started < 5
