r"""What this worker watches: the configuration, the API's commands and its share of a group, brought together.

    config/cameras.yaml  ->  configured  \
    camera-commands      ->  commands     -> Watchlist -> Fleet.apply
    --group              ->  share       /
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from vision_stream.camera_commands import effective
from vision_stream.messages import CameraCommand
from vision_stream.settings import CameraSettings
from workers.capture.fleet import Fleet

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Watchlist:
    configured: tuple[CameraSettings, ...]  # also those that are not enabled
    commands: Mapping[str, CameraCommand] = field(default_factory=dict)  # by camera, the last of each
    share: frozenset[str] | None = None  # camera ids; None: of no group, and so all
    fps: float | None = None  # instead of the cameras' own
    api_cameras: bool = True  # also what only a command describes

    @property
    def all(self) -> tuple[CameraSettings, ...]:
        """What the workers of a group watch together."""
        known = {camera.id for camera in self.configured}
        commands = {name: said for name, said in self.commands.items() if self.api_cameras or name in known}
        cameras = effective(self.configured, commands)
        return tuple(c if self.fps is None else c.model_copy(update={"fps": self.fps}) for c in cameras)

    @property
    def ours(self) -> tuple[CameraSettings, ...]:
        return tuple(camera for camera in self.all if self.share is None or camera.id in self.share)

    @property
    def first(self) -> tuple[CameraSettings, ...]:
        """Of ours, those that a process does not start without: the configuration itself enables them.

        What the API describes, or has started, may be wrong without ending us: it follows.
        """
        enabled = {camera.id for camera in self.configured if camera.enabled}
        return tuple(camera for camera in self.ours if camera.id in enabled)

    @property
    def elsewhere(self) -> frozenset[str]:
        """Ids of what the others of the group watch."""
        return frozenset(camera.id for camera in self.all) - {camera.id for camera in self.ours}


class Watching:
    """Applies the watchlist to the fleet whenever it has changed, one change at a time."""

    def __init__(self, fleet: Fleet, watchlist: Watchlist) -> None:
        self._fleet = fleet
        self._changed = asyncio.Event()
        self._subscriber: Callable[[Watchlist], None] = lambda _: None
        self.watchlist = watchlist

    def subscribe(self, subscriber: Callable[[Watchlist], None]) -> None:
        """Tell ``subscriber`` the watchlist, now and whenever it has changed."""
        self._subscriber = subscriber
        subscriber(self.watchlist)

    def change(self, **parts: Any) -> None:
        """Replace parts of the watchlist."""
        self.watchlist = replace(self.watchlist, **parts)
        self._changed.set()
        self._subscriber(self.watchlist)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            now = self.watchlist
            try:
                await self._fleet.apply(now.ours, elsewhere=now.elsewhere)
            except Exception:  # a camera's own errors have no common base, and the next change must find us
                _log.exception("the cameras could not be changed")
