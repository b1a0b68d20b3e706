"""A source in a process of its own: the same pictures, and nothing of it is left when it hangs."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from tests.films import picture, two_cars_driving, write_film
from tests.waiting import eventually
from workers.capture.sources import children, open_isolated
from workers.capture.sources.base import SourceError
from workers.capture.sources.isolated import Isolated


def decoding() -> list[psutil.Process]:
    """The processes of this one that decode."""
    found = []
    for child in psutil.Process().children():
        try:
            if "workers.capture.sources.isolated" in child.cmdline():
                found.append(child)
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def test_pictures_and_times_come_as_they_are(tmp_path: Path):
    film = write_film(tmp_path / "film.avi", [picture(("car", 10, 20, 200, 200))] * 8, fps=10)
    with closing(Isolated(str(film), fps=10).frames(threading.Event())) as frames:
        first, second = itertools.islice(frames, 2)
    assert first.image.shape == (240, 320, 3)
    assert first.image[100, 100].tolist() == pytest.approx([0, 0, 255], abs=12)  # MJPEG is not exact
    assert 0 < second.media_s - first.media_s < 1
    assert decoding() == []


def test_what_is_wrong_with_a_source_is_told_as_the_source_tells_it(tmp_path: Path):
    (tmp_path / "film.avi").write_bytes(b"nothing of the kind")
    with pytest.raises(SourceError, match="is no video that OpenCV can read"):
        next(iter(Isolated(str(tmp_path / "film.avi"), fps=2).frames(threading.Event())))


def test_a_picture_that_is_too_large_is_not_taken_from_its_process(tmp_path: Path):
    _, jpeg = cv2.imencode(".jpg", np.zeros((6000, 8000), np.uint8))
    (tmp_path / "film.mjpeg").write_bytes(jpeg.tobytes() * 3)
    with pytest.raises(SourceError, match="8000 x 6000 pixels, which is not taken"):
        next(iter(Isolated(str(tmp_path / "film.mjpeg"), fps=2).frames(threading.Event())))


async def test_a_decoder_that_hangs_is_killed_when_it_is_told_to_stop(tmp_path: Path):
    os.mkfifo(tmp_path / "picture.jpg")  # opening it waits for a writer, which never comes
    stop = threading.Event()
    frames = Isolated(str(tmp_path), fps=2).frames(stop)
    reader = threading.Thread(target=lambda: list(frames), daemon=True)
    reader.start()
    await eventually(decoding)

    stop.set()

    await eventually(lambda: not reader.is_alive() and not decoding(), within_s=10)


def test_a_decoder_that_is_killed_from_outside_is_said(tmp_path: Path):
    film = write_film(tmp_path / "film.avi", two_cars_driving())
    frames = iter(Isolated(str(film), fps=10).frames(threading.Event()))
    next(frames)
    for process in decoding():
        process.kill()
    with pytest.raises(SourceError, match="the process that decodes it ended"):
        list(itertools.islice(frames, 1000))


def test_processes_that_outlive_being_killed_are_left_and_not_more_than_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    os.mkfifo(tmp_path / "picture.jpg")
    monkeypatch.setattr(children, "END_S", 0.05)
    monkeypatch.setattr(subprocess.Popen, "kill", suspend)  # as one is that hangs in the kernel
    source, told_to_stop = Isolated(str(tmp_path), fps=2), threading.Event()
    told_to_stop.set()
    try:
        for _ in range(children.MOST):
            assert list(source.frames(told_to_stop)) == []
        assert len(decoding()) == children.MOST

        with pytest.raises(SourceError, match="3 processes hang in the driver and cannot be ended"):
            list(source.frames(told_to_stop))
        assert len(decoding()) == children.MOST
    finally:
        monkeypatch.undo()
        for process in decoding():
            process.kill()
            process.wait(5)
    assert list(source.frames(told_to_stop)) == []  # they have ended, so it is tried again


def suspend(process: subprocess.Popen[bytes]) -> None:
    psutil.Process(process.pid).suspend()


@pytest.mark.parametrize(
    ("source", "can_hang"),
    [("rtsp://u:secret9@10.0.0.5/1", True), ("0", True), ("/dev/video0", True), ("sim:quiet", False), (".", False)],
)
def test_what_has_a_driver_can_be_isolated_and_names_no_password(source: str, can_hang: bool):
    isolated = open_isolated(source, fps=2)
    assert (isolated is not None) == can_hang
    assert "secret9" not in getattr(isolated, "name", "")
