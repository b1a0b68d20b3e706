"""What was learned of a key's limits, in a file that outlives the process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from vision_stream.llm.told_limits import ToldLimit

_log = structlog.get_logger(__name__)


class Learned(Struct, frozen=True):
    """Calls a second and a minute; None: not known to be limited. ``told``: what of it the endpoint said itself."""

    second: int | None = None
    minute: int | None = None
    told: ToldLimit | None = None


class KeptLimits:
    """One key's file; None: forgotten at the end."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._waiting: Learned | None = None  # to be written
        self._said = False

    def read(self) -> Learned:
        """An absent or broken file is as one in which nothing was learned."""
        try:
            return Learned() if self._file is None else msgspec.json.decode(self._file.read_bytes(), type=Learned)
        except (OSError, msgspec.DecodeError):
            return Learned()

    def keep(self, learned: Learned) -> None:
        """Once a turn of the event loop, however often it is called; without a loop at once. Raises nothing."""
        if self._file is None:
            return
        waits, self._waiting = self._waiting is not None, learned
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(self._file)
            return
        if not waits:
            loop.call_soon(self._write, self._file)

    def _write(self, file: Path) -> None:
        learned, self._waiting = self._waiting, None
        aside = file.with_name(f".{file.name}.{os.getpid()}")  # other processes write theirs
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(msgspec.json.encode(learned))
            aside.replace(file)
            self._said = False
        except OSError as error:
            self._say(file, error)

    def _say(self, file: Path, error: OSError) -> None:
        """Once, until it works again: limits are learned all the same."""
        if not self._said:
            self._said = True
            _log.warning(
                "what was learned of a key's limits is not kept", file=str(file), error=error.strerror or str(error)
            )
