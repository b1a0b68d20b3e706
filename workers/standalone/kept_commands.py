"""Camera commands where there is no Kafka: a small file, so that a restart forgets nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from vision_stream.errors import ConfigError, DependencyError
from vision_stream.messages import CameraCommand

KEPT_COMMANDS = "camera_commands.json"  # in data_dir
Commands = Mapping[str, CameraCommand]


class KeptCommands:
    """A ``Keeper``."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ConfigError: the file cannot be read, or is none of ours.
        """
        self._path = path
        self._commands = _read(path)
        self._subscriber: Callable[[Commands], None] = lambda _: None

    @property
    def commands(self) -> Commands:
        """The last of each camera, by its id."""
        return MappingProxyType(self._commands)

    def subscribe(self, subscriber: Callable[[Commands], None]) -> None:
        """Tell ``subscriber`` the commands, now and whenever they have changed."""
        self._subscriber = subscriber
        subscriber(self.commands)

    async def put(self, command: CameraCommand) -> None:
        """Raises DependencyError: the file cannot be written."""
        await self._keep({**self._commands, command.camera_id: command})

    async def remove(self, camera_id: str) -> None:
        """Raises DependencyError: as ``put``."""
        await self._keep({known: command for known, command in self._commands.items() if known != camera_id})

    async def _keep(self, commands: dict[str, CameraCommand]) -> None:
        try:
            await asyncio.to_thread(_write, self._path, list(commands.values()))
        except OSError as error:
            raise DependencyError(
                f"the command cannot be kept: {error.strerror}", remedy="look at the disk, and at data_dir"
            ) from error
        self._commands = commands
        self._subscriber(self.commands)


def _read(path: Path) -> dict[str, CameraCommand]:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=list[CameraCommand])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"{path}: the commands that were kept there cannot be read ({type(error).__name__})",
            remedy="delete the file: cameras are then as config/cameras.yaml has them",
        ) from error
    return {command.camera_id: command for command in kept}


def _write(path: Path, commands: list[CameraCommand]) -> None:
    """All or nothing, also where the machine stops in the middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(commands))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
