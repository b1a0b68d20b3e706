"""Which cameras are watched, as people ask for over the API: what may be asked, and that it is written down.

The desk knows the configured cameras (the roster) and the last command of each camera. What is asked goes to the keeper
of commands, which is Kafka or a file, and counts once that has it; the capture workers do the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Annotated, Protocol

from msgspec import Meta, Struct
from msgspec.structs import replace

from vision_stream.api_networks import Resolve, networks, permitted, system_resolver
from vision_stream.api_sources import GUARDED, SCENE, SourceRefused, checked_source, stream_target
from vision_stream.errors import VisionStreamError
from vision_stream.messages import CameraCommand, CameraId
from vision_stream.redaction import redact_url
from vision_stream.settings import CameraSettings, Settings
from workers.gateway.roster import Roster

RESOLVE_S = 3.0
PER_MINUTE = 60  # commands taken; each is a message to all capture workers
Commands = Mapping[str, CameraCommand]


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A camera to watch: one that is configured, by its id alone, or one that ``source`` describes."""

    camera_id: CameraId
    source: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    name: Annotated[str, Meta(max_length=100)] | None = None
    fps: Annotated[float, Meta(gt=0, le=60)] | None = None
    prompt_profile: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class Refused(VisionStreamError):
    """What was asked is not done; ``code`` is for programs."""

    def __init__(self, code: str, what: str, *, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.code = code


class Keeper(Protocol):
    """Where commands are kept, and from where the capture workers have them."""

    async def put(self, command: CameraCommand) -> None:
        """Raises DependencyError: it was not confirmed in time."""
        ...

    async def remove(self, camera_id: str) -> None:
        """As ``put``."""
        ...


class Desk:
    """Of one event loop. One command at a time, so that each is judged by what the one before it has changed."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        keeper: Keeper,
        *,
        commands: Commands | None = None,
        resolve: Resolve = system_resolver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            commands: the last ones, by camera; None: they are still being read, and ``learn`` will tell.
        """
        self._most = settings.gateway.max_api_cameras
        self._networks = networks(settings.cameras.api_networks)
        self._roster = roster
        self._keeper = keeper
        self._commands = commands
        self._resolve = resolve
        self._clock = clock
        self._taken: deque[float] = deque()
        self._one_at_a_time = asyncio.Lock()
        if commands is not None:
            self.learn(commands)

    def learn(self, commands: Commands) -> None:
        """These are the last commands now."""
        self._commands = dict(commands)
        self._roster.take_commands(self._commands)

    async def start(self, wanted: Wanted, *, now: float) -> bool:
        """Watch a camera; whether it was not known before.

        Raises:
            Refused, SourceRefused: it may not be watched so.
            DependencyError: the command was not confirmed in time.
        """
        async with self._one_at_a_time:
            commands = self._admitted()
            source = await self._source(wanted, commands)
            known = wanted.camera_id in self._roster.cameras
            await self._put(
                CameraCommand(
                    camera_id=wanted.camera_id,
                    action="start",
                    source=source,
                    name=wanted.name,
                    fps=wanted.fps,
                    prompt_profile=wanted.prompt_profile,
                    at=now,
                )
            )
            return not known

    async def switch(self, camera_id: str, *, on: bool, now: float) -> None:
        """Watch a known camera, as it was last watched, or do not. Raises as ``start``."""
        async with self._one_at_a_time:
            last = self._admitted().get(camera_id)
            if camera_id not in self._roster.cameras:
                raise _unknown()
            action = "start" if on else "stop"
            command = last or CameraCommand(camera_id=camera_id, action=action, at=now)
            await self._put(replace(command, action=action, at=now))

    async def forget(self, camera_id: str) -> None:
        """The camera is as it is configured again, or not known any more. Raises as ``start``."""
        async with self._one_at_a_time:
            commands = self._admitted()
            if camera_id not in commands:
                raise Refused("unknown_camera", "nobody has started or stopped this camera over the API")
            await self._keeper.remove(camera_id)
            self.learn({known: command for known, command in commands.items() if known != camera_id})

    async def _put(self, command: CameraCommand) -> None:
        await self._keeper.put(command)
        self.learn({**(self._commands or {}), command.camera_id: command})

    def _admitted(self) -> Commands:
        if self._commands is None:
            raise Refused("not_ready", "what was commanded before is still being read", remedy="try again in a moment")
        now = self._clock()
        while self._taken and self._taken[0] <= now - 60:
            self._taken.popleft()
        if len(self._taken) >= PER_MINUTE:
            raise Refused("too_many_commands", f"more than {PER_MINUTE} commands in a minute", remedy="try again later")
        self._taken.append(now)
        return self._commands

    async def _source(self, wanted: Wanted, commands: Commands) -> str | None:
        """The source that the command is to name: none for a configured camera, which has one."""
        if wanted.camera_id in self._roster.configured:
            if wanted.source is not None:
                raise Refused(
                    "configured_camera",
                    "config/cameras.yaml says from where this camera is watched",
                    remedy="leave the source out, or choose another id",
                )
            return None
        if wanted.source is None:
            raise _unknown()
        source = await self._checked(wanted.source)
        for camera in self._roster.cameras.values():
            if camera.id != wanted.camera_id and _means(camera, source):
                raise Refused("source_known", f"camera {camera.id} has this source", remedy="start that one")
        described = {name for name, command in commands.items() if command.source is not None} - {wanted.camera_id}
        if len(described) >= self._most:
            raise Refused(
                "too_many_cameras",
                f"there are {len(described)} cameras that only the API describes, and gateway.max_api_cameras is "
                f"{self._most}",
                remedy="delete one, or write cameras into config/cameras.yaml",
            )
        return source

    async def _checked(self, source: str) -> str:
        checked = checked_source(source)
        if checked.startswith(SCENE):
            await asyncio.to_thread(_check_scene, checked)  # imports the simulator
            return checked
        try:
            async with asyncio.timeout(RESOLVE_S):
                addresses = await self._resolve(stream_target(checked).host)
        except (OSError, TimeoutError, UnicodeError):
            raise SourceRefused("source_unknown", "the source's host name is not known here") from None
        # Capture looks again at each connection, as a name can lead elsewhere by then.
        if not permitted(addresses, self._networks):
            raise SourceRefused(
                "source_address",
                "the source leads to where no camera may be",
                remedy="add its network to api_networks in config/cameras.yaml, where it is none that is never reached",
            )
        return checked


def _check_scene(source: str) -> None:
    from vision_stream.simulators.traffic import parse_scene

    try:
        parse_scene(source)
    except ValueError as error:
        raise SourceRefused("bad_source", str(error)) from None


def _means(camera: CameraSettings, source: str) -> bool:
    """Whether a camera is on ``source``, which is as ``checked_source`` writes it: it must not be decoded twice."""
    theirs = redact_url(camera.source.get_secret_value()).removeprefix(GUARDED)
    try:
        return not source.startswith(SCENE) and checked_source(theirs) == source
    except SourceRefused:
        return False


def _unknown() -> Refused:
    return Refused(
        "unknown_camera", "no such camera is configured", remedy="give its source, or write it into config/cameras.yaml"
    )
