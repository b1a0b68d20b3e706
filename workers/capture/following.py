"""Keeps the cameras of one process at what its configuration, the API's commands and its group say, while it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from vision_stream.background import Background
from vision_stream.config import Loaded
from vision_stream.probes import probes
from vision_stream.settings import CameraSettings, KafkaSettings
from workers.capture.fleet import Fleet
from workers.capture.reloading import changed_cameras
from workers.capture.watchlist import Watching, Watchlist

COMMANDS_WITHIN_S = 5.0  # after these a worker that needs no group begins with what is configured
LEAVE_WITHIN_S = 2.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Follow:
    """What a process follows beside its own beginning."""

    reread: Callable[[], Loaded]  # the configuration
    only: str | None = None  # of its cameras; its commands are not followed then
    fps: float | None = None  # instead of the cameras' own
    group: str | None = None  # shares them with the other workers of this name
    api_cameras: bool = True  # also cameras that only the API describes

    def configured(self, cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
        """Of a configuration's cameras: all, or the only one, whether it is enabled or not."""
        if self.only is None:
            return cameras
        return tuple(c.model_copy(update={"enabled": True}) for c in cameras if c.id == self.only)


class Following:
    """``begin`` starts the cameras; ``stop_changing`` comes before the fleet is closed, and ``leave`` after it."""

    def __init__(self, follow: Follow, kafka: KafkaSettings | None, fleet: Fleet) -> None:
        """``kafka``: None where it is off; then there are no commands, and no group."""
        self._follow = follow
        self._kafka = kafka
        self._fleet = fleet
        self._changes, self._group = Background(), Background()
        self._commands_known = asyncio.Event()

    async def begin(self, cameras: tuple[CameraSettings, ...]) -> None:
        """``cameras``: all of the configuration, as it was read at the start.

        Raises:
            ConfigError: the source of one is none, where there is no group that would give it to another.
        """
        configured = self._follow.configured(cameras)
        watchlist = Watchlist(configured, fps=self._follow.fps, api_cameras=self._follow.api_cameras)
        watching = Watching(self._fleet, watchlist)
        if self._kafka is not None and self._follow.only is None:
            await self._follow_commands(self._kafka, watching)
        if self._kafka is not None and self._follow.group is not None:
            self._join(self._kafka, self._follow.group, watching)
        else:
            self._fleet.start(watching.watchlist.first)
        if not watching.watchlist.all:
            _log.info("there is no camera yet; waiting for config/cameras.yaml or the API")
        self._changes.spawn(watching.run(), name="the cameras are kept as they should be")
        self._changes.spawn(self._follow_files(watching), name="config/cameras.yaml is followed")

    async def stop_changing(self) -> None:
        await self._changes.close()

    async def leave(self) -> None:
        """Leave the group: its other workers are given our cameras at once."""
        await self._group.close(within_s=LEAVE_WITHIN_S)

    async def _follow_commands(self, kafka: KafkaSettings, watching: Watching) -> None:
        from workers.capture.commands import Commands, follow  # aiokafka, for those who use it

        def told(commands: Commands) -> None:
            watching.change(commands=commands)
            self._commands_known.set()

        self._changes.spawn(follow(kafka, told), name="camera commands are followed")
        if self._follow.group is not None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._commands_known.wait(), COMMANDS_WITHIN_S)
        if not self._commands_known.is_set():
            _log.warning("camera commands are not known yet; the cameras are watched as they are configured")

    def _join(self, kafka: KafkaSettings, name: str, watching: Watching) -> None:
        from workers.capture.group.membership import Membership
        from workers.capture.group.protocol import fingerprint

        membership = Membership(kafka, name, lambda ids: watching.change(share=ids))

        def tell_group(now: Watchlist) -> None:
            membership.watch((camera.id for camera in now.all), fingerprint(now.configured))

        async def join() -> None:
            await self._commands_known.wait()  # what is stopped must not be watched for a moment
            await membership.run()

        watching.change(share=frozenset())
        watching.subscribe(tell_group)
        probes.require("group", lambda: None if membership.member else f"not in the group {name} yet")
        self._group.spawn(join(), name=f"member of {name}")

    async def _follow_files(self, watching: Watching) -> None:
        async for cameras in changed_cameras(self._follow.reread):
            watching.change(configured=self._follow.configured(cameras))
