"""Which services there are, and with which ports and environment each runs. Pure, but for the look at free ports."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from vision_stream.errors import VisionStreamError
from vision_stream.settings import Role, Settings

SERVICES: Mapping[str, Role] = {
    "task_generator": "task_generator",
    "scheduler": "llm_scheduler",
    "result_aggregator": "result_aggregator",
}  # in the order of the data; the names are those of the log files
METRICS_FROM, WEB_FROM = 9090, 6066
PORTS_TRIED = 200
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class Service(Struct, frozen=True, kw_only=True):
    name: str
    role: Role
    metrics_listens_at: str
    metrics_port: int
    web_port: int
    log: Path
    pid_file: Path

    @property
    def argv(self) -> tuple[str, ...]:
        worker = (sys.executable, "-m", "faust", "-A", "vision_stream", "worker", "-l", "info")
        return (*worker, "--web-host", "127.0.0.1", "--web-port", str(self.web_port))

    @property
    def environ(self) -> dict[str, str]:
        return {
            "ALGO_ENABLE_KAFKA_STREAMING": "true",
            "ALGO_STREAM_ROLES": self.role,
            "ALGO_MONITORING_PROMETHEUS_PORT": str(self.metrics_port),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def ready_url(self) -> str:
        host = ANYWHERE.get(self.metrics_listens_at, self.metrics_listens_at)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.metrics_port}/readyz"


def run_dir(settings: Settings) -> Path:
    """Where PID files and the supervisor's state are."""
    return Path(settings.data_dir) / "run" / "streaming"


def with_free_ports(service: Service) -> Service:
    """With other ports where its own are taken. Raises VisionStreamError where none is free."""
    metrics = _free_ports(service.metrics_listens_at, service.metrics_port)
    return replace(service, metrics_port=next(metrics), web_port=next(_free_ports("127.0.0.1", service.web_port)))


def plan(settings: Settings, logs: Path) -> tuple[Service, ...]:
    """The services, each with two ports that nobody listens on now, the same ones at each start where they are free.

    Raises:
        VisionStreamError: no free port.
    """
    where = settings.monitoring.prometheus
    metrics = _free_ports(where.host, where.port or METRICS_FROM)
    web = _free_ports("127.0.0.1", WEB_FROM)
    return tuple(
        Service(
            name=name,
            role=role,
            metrics_listens_at=where.host,
            metrics_port=next(metrics),
            web_port=next(web),
            log=logs / f"{name}.log",
            pid_file=run_dir(settings) / f"{name}.pid",
        )
        for name, role in SERVICES.items()
    )


def _free_ports(host: str, first: int) -> Iterator[int]:
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        if _is_free(host, port):
            yield port
    raise VisionStreamError(f"no free port on {host} from {first} on", remedy="see what listens there: ss -ltnp")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return True
    return False
