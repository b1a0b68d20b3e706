"""The cameras that a command speaks of: those of config/cameras.yaml, and what was commanded over the API since."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from vision_stream.camera_commands import known
from vision_stream.errors import DependencyError
from vision_stream.messages import CameraCommand
from vision_stream.settings import CameraSettings, Settings

WITHIN_S = 10.0  # to read the commands


@dataclass(frozen=True)
class Listed:
    camera: CameraSettings  # as it should be watched now
    known_by: Literal["configuration", "api"]
    command: Literal["start", "stop"] | None  # the last one of the API


def known_cameras(settings: Settings) -> list[Listed]:
    """All of them, in the order of the configuration. Where commands cannot be read, that is said on standard error."""
    configured = settings.cameras.cameras
    try:
        commands = _commands(settings)
    except DependencyError as error:
        typer.echo(
            f"{error}\nuntil then cameras are shown as config/cameras.yaml has them, and none of the API's", err=True
        )
        commands = {}
    ids = {camera.id for camera in configured}
    return [
        Listed(camera, "configuration" if camera.id in ids else "api", _action(commands.get(camera.id)))
        for camera in known(configured, commands)
    ]


def _action(command: CameraCommand | None) -> Literal["start", "stop"] | None:
    return command.action if command is not None else None


def _commands(settings: Settings) -> Mapping[str, CameraCommand]:
    """Raises DependencyError: Kafka has them, and cannot be reached."""
    if settings.enable_kafka_streaming:
        from vision_stream import logs
        from workers.capture.commands import read

        logs.mute_kafka_client()
        return asyncio.run(read(settings.kafka, within_s=WITHIN_S))
    if not settings.gateway.camera_control:
        return {}
    from workers.standalone.kept_commands import KEPT_COMMANDS, KeptCommands

    return KeptCommands(Path(settings.data_dir) / KEPT_COMMANDS).commands
