"""Is the process that wrote a PID file still that process? Its number may have gone to another since."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psutil
from msgspec import Struct

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ProcessId(Struct, frozen=True):
    """A process for good: its number, and when it began."""

    pid: int
    began: str


def identify(pid: int) -> ProcessId | None:
    """The process that has this number now; None where none has, or only its exit status is left."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessId(pid, _began(process))
    except (psutil.Error, OSError, ValueError):
        return None


def is_running(process: ProcessId | None) -> bool:
    return process is not None and identify(process.pid) == process


def end(process: ProcessId, *, kill: bool = False) -> None:
    """Ask it to end, or kill it; nothing where it does not run any more."""
    if is_running(process):
        with contextlib.suppress(psutil.Error):
            handle = psutil.Process(process.pid)
            (handle.kill if kill else handle.terminate)()


def is_or_is_of(pid: int, parent: int) -> bool:
    """Is ``pid`` that process, or its child? On Windows the interpreter of an environment is a launcher's child."""
    if pid == parent:
        return True
    try:
        return psutil.Process(pid).ppid() == parent
    except (psutil.Error, ValueError):
        return False


def _began(process: psutil.Process) -> str:
    if sys.platform != "linux":
        return f"{process.create_time():.2f}"
    # In ticks since the boot: as a time of day it would move when somebody sets the clock.
    after_name = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return f"{BOOT_ID.read_text().strip()}/{after_name[19]}"
