"""The processes that decode one source. A driver that hangs in the kernel outlives even a kill, so they are counted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from workers.capture.sources.base import SourceError

MOST = 3  # that outlived being killed. One more would only hang too
END_S = 2.0  # a process that was killed needs some milliseconds


class Children:
    def __init__(self) -> None:
        self._lasting: list[subprocess.Popen[bytes]] = []

    def begin(self, module: str, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        """Raises SourceError: too many are left that cannot be ended."""
        self._lasting = [child for child in self._lasting if child.poll() is None]
        if len(self._lasting) >= MOST:
            raise SourceError(f"{len(self._lasting)} processes hang in the driver and cannot be ended")
        return subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def end(self, child: subprocess.Popen[bytes]) -> None:
        """Kill it, and wait ``END_S`` at most."""
        child.kill()
        for pipe in (child.stdin, child.stdout):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._lasting.append(child)
