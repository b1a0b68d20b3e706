"""A small disk that fills and is freed again: a tmpfs of its own, and a file that takes what is left of it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.tools import commands
from tests.faults.tools.commands import CommandFailed, run

KIB = 1 << 10


def missing() -> str:
    return commands.missing("mount", "umount", root=True)


TRIES = 20  # whoever the disk belongs to may be quicker


class SmallDisk:
    """``async with SmallDisk(directory, size_mb=64) as disk``; the directory is made, and holds only what fits."""

    def __init__(self, directory: Path, *, size_mb: int) -> None:
        self.directory = directory
        self._size_mb = size_mb
        self._ballast = directory / "ballast"

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        await run("mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m", "tmpfs", str(self.directory))
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(CommandFailed):
            await run("umount", "--lazy", str(self.directory))  # lazy: who still has a file open must not stop us

    def free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all but ``leave_bytes``."""
        descriptor = os.open(self._ballast, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            for _ in range(TRIES):
                wanted = self.free_bytes() - leave_bytes
                if wanted <= 0:
                    return
                try:
                    os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, wanted)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        finally:
            os.close(descriptor)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)
