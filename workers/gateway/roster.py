"""The configured cameras as they are now: config/cameras.yaml while the gateway runs.

What REST and dashboard say of a camera before and beside its own messages: its name, its zones, whether it is enabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from vision_stream.config import Loaded
from vision_stream.settings import CameraSettings
from workers.capture.reloading import changed_cameras
from workers.gateway.hub import Hub


class Roster:
    """Of one event loop; ``take`` says which cameras are configured from now on, and lets browsers ask again."""

    def __init__(self, cameras: Iterable[CameraSettings], hub: Hub) -> None:
        self._by_id = _by_id(cameras)
        self._hub = hub

    @property
    def cameras(self) -> Mapping[str, CameraSettings]:
        """By their ids, in the order of the configuration."""
        return MappingProxyType(self._by_id)

    def take(self, cameras: Iterable[CameraSettings]) -> None:
        taken = _by_id(cameras)
        if taken != self._by_id:
            self._by_id = taken
            self._hub.cameras_changed()


async def follow(configured: Callable[[], Loaded], roster: Roster) -> None:
    """Let ``roster`` have the configuration's cameras until cancelled; see ``changed_cameras``."""
    async for cameras in changed_cameras(configured):
        roster.take(cameras)


def _by_id(cameras: Iterable[CameraSettings]) -> dict[str, CameraSettings]:
    return {camera.id: camera for camera in cameras}
