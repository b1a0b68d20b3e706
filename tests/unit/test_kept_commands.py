from __future__ import annotations

from pathlib import Path

import pytest

from vision_stream.errors import ConfigError, DependencyError
from vision_stream.messages import CameraCommand
from workers.standalone.kept_commands import KeptCommands

YARD = CameraCommand(camera_id="yard", action="start", source="rtsp://10.0.0.7/1", fps=5, at=1.0)
STOPPED = CameraCommand(camera_id="yard", action="stop", at=2.0)
GATE = CameraCommand(camera_id="gate", action="stop", at=3.0)


async def test_what_was_commanded_last_of_each_camera_is_there_after_a_restart(tmp_path: Path):
    kept = KeptCommands(tmp_path / "var" / "commands.json")
    for command in (YARD, GATE, STOPPED):
        await kept.put(command)

    assert KeptCommands(tmp_path / "var" / "commands.json").commands == {"yard": STOPPED, "gate": GATE}


async def test_what_was_taken_back_is_not_there_any_more(tmp_path: Path):
    kept = KeptCommands(tmp_path / "commands.json")
    await kept.put(YARD)
    await kept.remove("yard")

    assert kept.commands == KeptCommands(tmp_path / "commands.json").commands == {}


async def test_who_subscribes_is_told_at_once_and_whenever_they_change(tmp_path: Path):
    kept, told = KeptCommands(tmp_path / "commands.json"), []
    await kept.put(YARD)
    kept.subscribe(lambda commands: told.append(dict(commands)))
    await kept.put(GATE)

    assert told == [{"yard": YARD}, {"yard": YARD, "gate": GATE}]


@pytest.mark.parametrize("written", [b"", b"[{", b'{"yard": 1}', b'[{"camera_id": "../x"}]', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_said_and_not_overwritten(tmp_path: Path, written: bytes):
    path = tmp_path / "commands.json"
    path.write_bytes(written)

    with pytest.raises(ConfigError, match="delete the file"):
        KeptCommands(path)

    assert path.read_bytes() == written


async def test_a_command_that_cannot_be_written_is_an_error_and_does_not_count(tmp_path: Path):
    kept = KeptCommands(tmp_path / "var" / "commands.json")
    (tmp_path / "var").write_text("a file where the directory should be")

    with pytest.raises(DependencyError, match="cannot be kept"):
        await kept.put(YARD)

    assert kept.commands == {}
