"""What the supervisor knows, in one file that is replaced whole: `start`, `stop` and `status` read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from vision_stream.errors import VisionStreamError
from vision_stream.services.process import ProcessId

Phase = Literal["starting", "running", "failed", "stopping", "stopped"]
Condition = Literal["starting", "ready", "not ready", "waiting", "given up", "ended"]


class ServiceState(Struct, frozen=True, kw_only=True):
    name: str
    role: str
    condition: Condition
    why: str = ""  # what it said of itself, or how it ended
    process: ProcessId | None = None
    metrics_port: int
    web_port: int
    restarts: int = 0
    log: str


class State(Struct, frozen=True, kw_only=True):
    began_at: float  # epoch seconds
    supervisor: ProcessId
    phase: Phase
    why: str = ""
    exit_code: int = 0
    services: tuple[ServiceState, ...] = ()


class AlreadyRunning(VisionStreamError):
    """Another supervisor holds the directory."""

    exit_code = 75


def read(directory: Path) -> State | None:
    """None where there is none, or none that can be read."""
    try:
        return msgspec.json.decode((directory / "state.json").read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return None


def write(directory: Path, state: State) -> None:
    replace_file(directory / "state.json", msgspec.json.format(msgspec.json.encode(state)))


def replace_file(path: Path, content: bytes) -> None:
    """A reader sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Be the only supervisor of ``directory``. The lock goes with its process, however that ends.

    Raises:
        AlreadyRunning: there is one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("ab") as file:
        try:
            _lock(file.fileno())
        except OSError:
            raise AlreadyRunning(f"a supervisor runs already, by {directory / 'lock'}") from None
        yield


if os.name == "nt":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
