"""A log is bounded while it is written, and nothing of it is lost or torn on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_stream.services.rotation import RotatingLog


def lines(folder: Path) -> list[str]:
    files = sorted(folder.iterdir(), key=lambda path: path.name, reverse=True)  # x.log.2, x.log.1, x.log
    return [line for path in files for line in path.read_text().splitlines()]


def test_what_is_kept_is_the_newest_without_a_gap_and_within_its_bounds(tmp_path: Path):
    log = RotatingLog(tmp_path / "x.log", max_bytes=100, kept=2)

    for number in range(200):
        log.write(f"line {number:03}\n".encode())
    log.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    kept = lines(tmp_path)
    assert kept == [f"line {number:03}" for number in range(200 - len(kept), 200)]
    assert len(kept) > 20


def test_a_later_run_goes_on_where_the_last_one_ended(tmp_path: Path):
    for text in (b"first\n", b"second\n"):
        log = RotatingLog(tmp_path / "x.log", max_bytes=100)
        log.write(text)
        log.close()
    assert lines(tmp_path) == ["first", "second"]


def test_a_line_longer_than_the_bound_is_written_whole(tmp_path: Path):
    log = RotatingLog(tmp_path / "x.log", max_bytes=10)
    log.write(b"short\n")
    log.write(b"x" * 30 + b"\n")
    log.close()
    assert lines(tmp_path) == ["short", "x" * 30]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_costs_lines_and_not_the_writer():
    log = RotatingLog(Path("/dev/full"))
    log.write(b"lost\n")
    assert log.lost == 5
    log.close()
