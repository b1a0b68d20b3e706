"""One service as a child of the supervisor: its process, its log and its PID file."""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from vision_stream.server_process import ServerProcess
from vision_stream.services.plan import Service, with_free_ports
from vision_stream.services.process import ProcessId, identify
from vision_stream.services.restarts import Restarts, ended
from vision_stream.services.rotation import RotatingLog
from vision_stream.services.state import Condition, ServiceState, replace_file

LONGEST_LINE = 64 * 1024
LAST_LINES = 20
LOG_ENDS_WITHIN_S = 2.0


class Child:
    """Its output comes through a pipe, so that it is this process that writes the log, and rotates it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.condition: Condition = "ended"
        self.why = ""
        self.restarts = Restarts()
        self.again_at: float | None = None  # monotonic
        self._identity: ProcessId | None = None
        self._began = 0.0
        self._said: deque[bytes] = deque(maxlen=LAST_LINES)
        self._log = RotatingLog(service.log)
        self._reader: threading.Thread | None = None
        self._process = _process_of(service)

    @property
    def pid(self) -> int:
        """Of the last run; raises VisionStreamError before the first."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def start(self) -> None:
        """Raises VisionStreamError where it cannot be run."""
        self.service = with_free_ports(self.service)  # somebody may have taken them since the last run
        self._process = _process_of(self.service)
        read, write = os.pipe()
        try:
            self._process.start(output=write)
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._began, self.again_at = time.monotonic(), None
        self.condition, self.why = "starting", ""
        self._identity = identify(self._process.pid)
        replace_file(self.service.pid_file, f"{self._process.pid}\n".encode())
        self._reader = threading.Thread(target=self._read, args=(read,), name=self.service.name, daemon=True)
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        with open(descriptor, "rb") as pipe:
            for line in iter(lambda: pipe.readline(LONGEST_LINE), b""):
                self._said.append(line)
                self._log.write(line)

    def after_end(self) -> None:
        """It ended, and nobody asked: note how, and when it runs again."""
        code = self.returncode
        self._gone()
        self.restarts, wait_s = ended(self.restarts, code, time.monotonic() - self._began)
        self.why = how_it_ended(code)
        self.condition = "given up" if wait_s is None else "waiting"
        self.again_at = None if wait_s is None else time.monotonic() + wait_s

    async def stop(self, within_s: float) -> None:
        await self._process.stop(within_s=within_s)
        self.condition, self.again_at = "ended", None
        self._gone()

    def close(self) -> None:
        self._log.close()

    def last_lines(self) -> str:
        """The end of what it said in this run."""
        return b"".join(self._said).decode(errors="replace").rstrip()

    def state(self) -> ServiceState:
        return ServiceState(
            name=self.service.name,
            role=self.service.role,
            condition=self.condition,
            why=self.why,
            process=self._identity,
            metrics_port=self.service.metrics_port,
            web_port=self.service.web_port,
            restarts=self.restarts.count,
            log=str(self.service.log),
        )

    def _gone(self) -> None:
        if self._reader is not None:
            self._reader.join(LOG_ENDS_WITHIN_S)
        self._identity = None
        self.service.pid_file.unlink(missing_ok=True)


def _process_of(service: Service) -> ServerProcess:
    return ServerProcess(service.name, service.argv, log=service.log, environ=service.environ)


def how_it_ended(code: int | None) -> str:
    """
    >>> how_it_ended(-9)
    'killed by signal 9'
    """
    if code is not None and code < 0:
        return f"killed by signal {-code}"
    return f"ended with exit code {code}"
