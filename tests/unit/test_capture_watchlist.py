"""Configuration, commands and share, brought together; and what a message on the topic of commands does."""

from __future__ import annotations

import pytest

from vision_stream.errors import MessageError
from vision_stream.messages import CameraCommand, encode
from vision_stream.settings import CameraSettings
from workers.capture.commands import Commands, take
from workers.capture.watchlist import Watchlist


def camera(camera_id: str, **fields: object) -> CameraSettings:
    return CameraSettings.model_validate({"id": camera_id, "source": "sim:quiet", **fields})


def said(camera_id: str, action: str = "start", **fields: object) -> dict[str, CameraCommand]:
    return {camera_id: CameraCommand(camera_id=camera_id, action=action, at=1.0, **fields)}  # type: ignore[arg-type]


def ids(cameras: tuple[CameraSettings, ...]) -> list[str]:
    return [each.id for each in cameras]


TWO = (camera("north"), camera("south"))


def test_without_a_group_all_cameras_are_ours():
    now = Watchlist(TWO)

    assert (ids(now.ours), now.elsewhere) == (["north", "south"], frozenset())


def test_of_a_group_only_the_share_is_ours_and_the_rest_is_watched_elsewhere():
    now = Watchlist((*TWO, camera("attic", enabled=False)), share=frozenset({"south", "attic", "unknown"}))

    assert (ids(now.ours), now.elsewhere) == (["south"], {"north"})


def test_a_camera_that_was_stopped_is_nobodys():
    now = Watchlist(TWO, said("north", "stop"), share=frozenset({"north"}))

    assert (ids(now.ours), now.elsewhere) == ([], {"south"})


def test_what_only_the_api_describes_is_watched_unless_another_group_does():
    commands = said("added", source="sim:quiet") | said("south", fps=1)

    assert ids(Watchlist(TWO, commands).ours) == ["north", "south", "added"]
    without = Watchlist(TWO, commands, api_cameras=False).ours
    assert [(each.id, each.fps) for each in without] == [("north", 2), ("south", 1)]


def test_what_a_process_does_not_start_without_is_what_the_configuration_itself_enables():
    commands = said("added", source="sim:quiet") | said("attic") | said("south", fps=1)
    now = Watchlist((*TWO, camera("attic", enabled=False)), commands)

    assert ids(now.ours) == ["north", "south", "attic", "added"]
    assert [(each.id, each.fps) for each in now.first] == [("north", 2), ("south", 1)]


def test_a_rate_of_the_command_line_is_that_of_all():
    now = Watchlist(TWO, said("added", source="sim:quiet", fps=9), fps=0.5)

    assert {each.fps for each in now.ours} == {0.5}


# --- messages ----------------------------------------------------------------------------------------------------


def taken(commands: Commands, command: CameraCommand) -> Commands:
    return take(commands, command.camera_id.encode(), encode(command))


def test_the_last_command_of_a_camera_holds_until_it_is_taken_back():
    stop, start = said("north", "stop")["north"], said("north", "start")["north"]
    commands = taken(taken({}, stop), said("south", "stop")["south"])

    commands = taken(commands, start)
    assert commands["north"] == start

    assert list(take(commands, b"north", None)) == ["south"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"north", b"garbage"),
        (b"north", b""),
        (b"south", encode(said("north")["north"])),
        (None, encode(said("north")["north"])),
        (b"\xff", encode(said("north")["north"])),
    ],
    ids=["no JSON", "empty", "another's key", "no key", "no text"],
)
def test_what_is_no_command_of_its_key_is_an_error(key: bytes | None, value: bytes):
    with pytest.raises(MessageError):
        take({}, key, value)


@pytest.mark.parametrize("key", [b"gone", b"\xff", None])
def test_taking_back_what_was_never_said_changes_nothing(key: bytes | None):
    assert take(said("north"), key, None) == said("north")
