"""A server program run as a child: it ends when asked, when pressed, and when its parent is gone.

``KafkaBroker`` and ``RedisServer`` are made of these. Nothing here waits on an event loop's own child watcher, so that
an object may be started in one loop and stopped in another, as session-wide test fixtures are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_stream.errors import VisionStreamError

PORTS = range(15_000, 32_000)  # under Linux's ephemeral ports: see `free_ports`

# Runs between fork and the program: asks the kernel to kill us with our parent (also when that gets SIGKILL), checks
# that it did not die in the meantime, and becomes the program. Not a preexec_fn: those can deadlock beside threads.
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("parent gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerProcess:
    """One run of ``argv``, its output in ``log``, in a session of its own so that a terminal's Ctrl-C passes it by.

    Linux ends it when the *thread* that called ``start`` ends: start it from one that outlives it.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """``environ`` is added to the parent's."""
        self.name = name
        self._argv = [str(part) for part in argv]
        self._log = log
        self._cwd = cwd
        self._environ = environ or {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, output: int | None = None) -> None:
        """Run the program, its output in the file descriptor ``output`` where one is given, else in its log.

        Raises:
            VisionStreamError: it cannot be run.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        argv = self._argv
        if sys.platform == "linux":
            argv = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *argv]
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log if output is None else output,
                    stderr=subprocess.STDOUT,
                    cwd=self._cwd,
                    env={**os.environ, **self._environ},
                    start_new_session=True,
                )
        except OSError as error:
            raise VisionStreamError(f"cannot run {self.name}: {error}") from error

    @property
    def pid(self) -> int:
        """Process id of the run, for signals; raises VisionStreamError before the first."""
        if self._process is None:
            raise VisionStreamError(f"{self.name} was not started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, and before the first run."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def wait(self, *, within_s: float) -> int | None:
        """The exit status, or None where it still runs after ``within_s`` seconds."""
        deadline = time.monotonic() + within_s
        while self.running and time.monotonic() < deadline:  # noqa: ASYNC110 (a child sets no event)
            await asyncio.sleep(0.02)
        return self.returncode

    async def stop(self, *, within_s: float = 10.0) -> None:
        """Ask it to end, wake it where it is stopped, and kill it where it has not ended in ``within_s`` seconds."""
        try:
            self._signal(signal.SIGTERM)
            if sys.platform != "win32":
                self._signal(signal.SIGCONT)
            await self.wait(within_s=within_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL it, and see its end; nothing where it does not run."""
        if self._process is not None and self.running:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)  # milliseconds: SIGKILL waits for nothing but the kernel

    def tail(self, lines: int = 12) -> str:
        """The end of what it said."""
        return tail(self._log, lines)

    def _signal(self, number: int) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a text file; empty where there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback that nobody listens on now.

    Not from the ephemeral range, as ``bind(0)`` gives them: a client that retries such a port while its server is
    down can connect to itself, and the server then finds its port taken.
    """
    with contextlib.ExitStack() as held:
        return tuple(_held_port(held) for _ in range(count))


def _held_port(held: contextlib.ExitStack) -> int:
    for port in random.sample(PORTS, 200):
        with contextlib.suppress(OSError):
            held.enter_context(_bound(port))
            return port
    raise VisionStreamError("no free port on 127.0.0.1")


def require_free(ports: Sequence[int]) -> None:
    """Raises VisionStreamError where one of these ports of loopback is taken."""
    for port in ports:
        try:
            _bound(port).close()
        except OSError as error:
            raise VisionStreamError(
                f"port {port} is taken: {error.strerror}",
                remedy="give another --port, or end what listens there (`ss -ltnp` says what)",
            ) from error


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener
