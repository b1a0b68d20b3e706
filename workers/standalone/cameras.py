"""Mode 1's cameras, in the process that shows them: as configured, as commanded over its API, and as either changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vision_stream.background import Background
from vision_stream.camera_commands import known
from vision_stream.config import Loaded
from vision_stream.settings import CameraSettings
from workers.capture.fleet import Fleet, Refused
from workers.capture.reloading import changed_cameras
from workers.capture.watchlist import Watching, Watchlist
from workers.capture.worker import CaptureWorker
from workers.gateway.roster import Roster
from workers.standalone.kept_commands import KeptCommands

Taker = Callable[[tuple[CameraSettings, ...]], None]  # is told all cameras, when they have changed


@dataclass
class Cameras:
    configured: tuple[CameraSettings, ...]  # also those that are not enabled
    roster: Roster
    kept: KeptCommands | None = None  # None: nobody commands
    reread: Callable[[], Loaded] | None = None  # the configuration; None: it is not followed
    fps: float | None = None  # instead of the cameras' own
    takers: list[Taker] = field(default_factory=list)  # others who want to know

    async def watch(self, hire: Callable[[CameraSettings], CaptureWorker], refused: Refused) -> Sequence[Exception]:
        """Until all have ended by themselves; returns what broke off. ``hire``, ``refused``: see ``Fleet``.

        Raises:
            ConfigError: the source of a configured one is none.
        """
        fleet, background = Fleet(hire, refused), Background()
        commands = self.kept.commands if self.kept is not None else {}
        watching = Watching(fleet, Watchlist(self.configured, commands=commands, fps=self.fps))
        try:
            fleet.start(watching.watchlist.first)
            watching.subscribe(self._tell)
            if self.kept is not None:
                self.kept.subscribe(lambda commands: watching.change(commands=commands))
            background.spawn(watching.run(), name="the cameras are kept as they should be")
            if self.reread is not None:
                background.spawn(self._follow(self.reread, watching), name="config/cameras.yaml is followed")
            await fleet.until_all_ended()
        finally:
            await background.close()
            await fleet.close()
        return fleet.failures

    def _tell(self, now: Watchlist) -> None:
        self.roster.take(now.configured)
        for take in self.takers:
            take(known(now.configured, now.commands))

    async def _follow(self, reread: Callable[[], Loaded], watching: Watching) -> None:
        async for cameras in changed_cameras(reread):
            watching.change(configured=cameras)
