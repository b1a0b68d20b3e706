"""What does not belong on capture's command line: a password, which every user of the machine can read there, and a
group that there cannot be."""

from __future__ import annotations

import pytest

from vision_stream.cli.capture import check_group, warn_of_passwords
from vision_stream.errors import ConfigError
from vision_stream.settings import Settings


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


@pytest.mark.parametrize(
    ("group", "camera", "source", "kafka", "says"),
    [
        ("yard", "north", None, True, "--camera"),
        ("yard", None, "sim:quiet", True, "--source"),
        ("yard", None, None, False, "ALGO_ENABLE_KAFKA_STREAMING"),
        ("", None, None, True, "letters"),
        ("a/b", None, None, True, "letters"),
    ],
)
def test_a_group_that_there_cannot_be_is_an_error(
    group: str, camera: str | None, source: str | None, kafka: bool, says: str
):
    with pytest.raises(ConfigError) as error:
        check_group(group, camera, source, Settings(enable_kafka_streaming=kafka))
    assert says in str(error.value)


def test_a_group_over_kafka_and_no_group_are_fine():
    check_group("yard", None, None, Settings(enable_kafka_streaming=True))
    check_group(None, "north", None, Settings())
