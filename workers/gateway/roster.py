"""The cameras as they should be now: config/cameras.yaml while the gateway runs, and what was commanded over the API.

What REST and dashboard say of a camera before and beside its own messages: its name, its zones, whether it is enabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from vision_stream.camera_commands import known
from vision_stream.config import Loaded
from vision_stream.messages import CameraCommand
from vision_stream.settings import CameraSettings
from workers.capture.reloading import changed_cameras
from workers.gateway.hub import Hub


class Roster:
    """Of one event loop; ``take`` says which cameras are configured from now on, and lets browsers ask again."""

    def __init__(self, cameras: Iterable[CameraSettings], hub: Hub) -> None:
        self._configured = _by_id(cameras)
        self._commands: Mapping[str, CameraCommand] = {}
        self._by_id = self._configured
        self._hub = hub

    @property
    def cameras(self) -> Mapping[str, CameraSettings]:
        """By their ids, in the order of the configuration; ``enabled`` where they should be watched."""
        return MappingProxyType(self._by_id)

    @property
    def configured(self) -> Mapping[str, CameraSettings]:
        """As ``cameras``, of config/cameras.yaml alone."""
        return MappingProxyType(self._configured)

    def take(self, cameras: Iterable[CameraSettings]) -> None:
        self._configured = _by_id(cameras)
        self._bring_together()

    def take_commands(self, commands: Mapping[str, CameraCommand]) -> None:
        """The last command of each camera, by its id."""
        self._commands = commands
        self._bring_together()

    def _bring_together(self) -> None:
        taken = _by_id(known(self._configured.values(), self._commands))
        if taken != self._by_id:
            self._by_id = taken
            self._hub.cameras_changed()


async def follow(configured: Callable[[], Loaded], roster: Roster) -> None:
    """Let ``roster`` have the configuration's cameras until cancelled; see ``changed_cameras``."""
    async for cameras in changed_cameras(configured):
        roster.take(cameras)


def _by_id(cameras: Iterable[CameraSettings]) -> dict[str, CameraSettings]:
    return {camera.id: camera for camera in cameras}
