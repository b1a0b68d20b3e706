"""What cameras are watched: those of config/cameras.yaml, and what was commanded over the API since.

    watched = configured and enabled - stopped + started

config/cameras.yaml owns its cameras: a command starts or stops one, and says how, but not from where. What a command
alone describes is watched from an address that nobody with access to the machine has written down, and is therefore
marked: capture opens it through its guard (see ``workers.capture.sources``), which decides where it may lead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from vision_stream.api_sources import GUARDED, SCENE
from vision_stream.messages import CameraCommand
from vision_stream.settings import CameraSettings


def effective(
    configured: Iterable[CameraSettings], commands: Mapping[str, CameraCommand]
) -> tuple[CameraSettings, ...]:
    """The cameras that should be watched, in the order of the configuration, then by id.

    Args:
        configured: all of config/cameras.yaml, also those that are not enabled.
        commands: the last one of each camera, by camera id.
    """
    return tuple(camera for camera in known(configured, commands) if camera.enabled)


def known(configured: Iterable[CameraSettings], commands: Mapping[str, CameraCommand]) -> tuple[CameraSettings, ...]:
    """All cameras that the configuration or a command describes; ``enabled`` says which of them should be watched."""
    cameras = {camera.id: camera for camera in configured}
    commanded = (_commanded(camera, commands.get(camera.id)) for camera in cameras.values())
    described = (_described(commands[camera_id]) for camera_id in sorted(commands.keys() - cameras.keys()))
    return (*commanded, *(camera for camera in described if camera is not None))


def _commanded(camera: CameraSettings, command: CameraCommand | None) -> CameraSettings:
    return camera if command is None else camera.model_copy(update=_said(command))


def _described(command: CameraCommand) -> CameraSettings | None:
    """None where a command says not enough to watch a camera that is not configured (any more)."""
    if command.source is None:
        return None
    source = command.source if command.source.startswith(SCENE) else GUARDED + command.source
    try:
        return CameraSettings.model_validate({"id": command.camera_id, "source": source, **_said(command)})
    except ValidationError:
        return None


def _said(command: CameraCommand) -> dict[str, object]:
    said = {"name": command.name, "fps": command.fps, "prompt_profile": command.prompt_profile}
    given = {field: value for field, value in said.items() if value is not None}
    return {"enabled": command.action == "start", **given}
