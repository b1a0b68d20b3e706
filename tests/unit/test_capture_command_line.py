"""A password does not belong on a command line, which every user of the machine can read."""

from __future__ import annotations

import pytest

from vision_stream.cli.capture import warn_of_passwords


@pytest.mark.parametrize(
    ("source", "warned"),
    [
        ("rtsp://admin:canary-1@10.0.0.5/stream", True),
        ("gate=rtsp://admin:canary-1@10.0.0.5/stream", True),
        ("http://10.0.0.5/video?token=canary-1", True),
        ("rtsp://10.0.0.5/stream", False),
        ("sim:crossing?seed=3", False),
        ("0", False),
        ("films/a@b.avi", False),
    ],
)
def test_a_source_with_a_password_is_warned_of_and_not_repeated(source: str, warned: bool, capsys):
    warn_of_passwords([source])

    said = capsys.readouterr().err
    assert ("config/cameras.yaml" in said) is warned
    assert "canary" not in said
