"""A table's rows: whole values in, whole values out."""

from __future__ import annotations

from tables.rows import Rows
from vision_stream.gating import CameraGate


def test_a_camera_without_a_row_has_an_empty_one():
    assert Rows({}, CameraGate).read("cam-01") == CameraGate()


def test_a_row_that_was_written_is_read_and_stands_as_bytes_in_the_table():
    table: dict[bytes, bytes] = {}
    rows = Rows(table, CameraGate)
    rows.write("cam-01", CameraGate(session="s1", sequence=7))
    assert rows.read("cam-01").sequence == 7
    assert isinstance(table[b"cam-01"], bytes)
    assert list(rows) == ["cam-01"]


def test_a_row_that_a_recovery_has_replaced_is_read_anew():
    table: dict[bytes, bytes] = {}
    rows, other = Rows(table, CameraGate), Rows(table, CameraGate)
    rows.write("cam-01", CameraGate(sequence=7))
    other.write("cam-01", CameraGate(sequence=8))
    assert rows.read("cam-01").sequence == 8


def test_a_row_that_cannot_be_read_begins_anew():
    assert Rows({b"cam-01": b"of another version"}, CameraGate).read("cam-01") == CameraGate()
