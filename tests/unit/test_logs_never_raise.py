"""What says a log line goes on, whatever the line's values are."""

from __future__ import annotations

import os

import pytest
import structlog

from vision_stream import logs
from vision_stream.redaction import register_secret


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


@pytest.mark.parametrize("fmt", ["json", "console"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Unspeakable(), "<Unspeakable, whose repr raised RuntimeError>"),
        ([Unspeakable()], "<list, whose repr raised RuntimeError>"),
        (os.fsdecode(b"video-\xff.mp4"), "udcff.mp4"),
        ({"path": os.fsdecode(b"video-\xff.mp4")}, "udcff.mp4"),
        ({Unspeakable: 1}, "Unspeakable"),
        (1 << 80, "1208925819614629174706176"),
    ],
    ids=[
        "a repr that raises",
        "one inside a list",
        "no UTF-8",
        "no UTF-8 inside",
        "a key that is no text",
        "a large number",
    ],
)
def test_a_line_is_said_whatever_its_values_are(fmt, value: object, shown: str, capsys, own_logging):
    logs.setup("INFO", fmt)
    register_secret("canary-beside-it")
    structlog.get_logger("ours").info("it happened", value=value, key="canary-beside-it")
    line = capsys.readouterr().err
    assert "it happened" in line
    assert shown in line
    assert "canary" not in line


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_is_said_beside_a_value_that_cannot_be(fmt, capsys, own_logging):
    logs.setup("INFO", fmt)
    try:
        raise LookupError("of the traceback")
    except LookupError:
        structlog.get_logger("ours").exception("it failed", value=Unspeakable())
    line = capsys.readouterr().err
    assert "LookupError: of the traceback" in line
    assert 'raise RuntimeError("no")' not in line
