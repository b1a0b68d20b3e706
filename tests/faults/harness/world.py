"""Workers and the LLM simulator as child processes, on a broker that the test brings."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.waiting import eventually
from vision_stream import topics
from vision_stream.server_process import ServerProcess, free_ports
from vision_stream.settings import Settings

READY_WITHIN_S = 60.0
ROOT = Path(__file__).parents[3]


class WorkerEnded(Exception):
    """A worker that should run does not."""


class Worker:
    """One `faust -A vision_stream worker`."""

    def __init__(
        self,
        name: str,
        environ: dict[str, str],
        directory: Path,
        app: str,
        enter: Sequence[str] = (),
        version: Path = ROOT,
    ) -> None:
        (self.port,) = free_ports(1)
        argv = (*enter, sys.executable, "-m", "faust", "-A", app, "worker", "--web-port", str(self.port))
        self.log = directory / f"{name}.log"
        self.process = ServerProcess(name, argv, log=self.log, cwd=version, environ=environ)
        self.name = name

    async def start(self, *, until_ready: bool = True) -> None:
        self.process.start()
        if until_ready:
            await eventually(self.ready, READY_WITHIN_S, every_s=0.1, what=f"{self.name} ready\n{self.process.tail()}")

    async def ready(self) -> bool:
        """Does it own partitions, and read them?"""
        if not self.process.running:
            raise WorkerEnded(f"{self.name} ended with {self.process.returncode}:\n{self.process.tail(40)}")
        stats = await self.stats()
        return bool(stats and stats["partitions"] and not stats["rebalancing"])

    @property
    def was_ready(self) -> bool:
        """Has it said so, in any of its runs?"""
        return "worker ready" in self.log.read_text()

    async def stats(self) -> dict[str, Any] | None:
        """Its ``/stats``, or None while there is no answer."""
        url, timeout = f"http://127.0.0.1:{self.port}/stats?format=json", aiohttp.ClientTimeout(total=2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):  # or another's answer, who took the port
            return None

    async def terminate(self, within_s: float = 30.0) -> int | None:
        """SIGTERM; returns its exit status, None where it has not ended in ``within_s`` seconds."""
        self.process._signal(signal.SIGTERM)
        return await self.process.wait(within_s=within_s)

    def kill(self) -> None:
        self.process.kill()

    def send(self, number: int) -> None:
        self.process._signal(number)


class World:
    """What the processes share."""

    def __init__(
        self, settings: Settings, environ: dict[str, str], directory: Path, llm: ServerProcess, url: str
    ) -> None:
        self.settings = settings
        self.llm = llm
        self.llm_url = url  # of the simulator: /control takes its faults, /calls gives its calls
        self.directory = directory
        self._environ = environ
        self._workers: list[Worker] = []

    def worker(
        self,
        name: str,
        *,
        app: str = "vision_stream",
        enter: Sequence[str] = (),
        version: Path = ROOT,
        **environ: str,
    ) -> Worker:
        """A worker that does not run yet; the world ends it.

        Args:
            enter: comes before its command line, such as a program that enters a namespace and becomes the worker.
            version: root of the source tree that it runs.
        """
        worker = Worker(name, self._environ | environ, self.directory, app, enter, version)
        self._workers.append(worker)
        return worker

    async def close(self) -> None:
        await asyncio.gather(*(worker.process.stop(within_s=10) for worker in self._workers))

    def logs(self) -> str:
        """What the workers warned of, for a failed test."""
        lines = [
            f"{w.name}: {line}" for w in self._workers for line in w.log.read_text().splitlines() if line[:1] != "|"
        ]
        return "\n".join(line[:400] for line in lines if '"level": "info"' not in line)[-8000:]


@asynccontextmanager
async def open_world(
    settings: Settings, directory: Path, *, latency: str = "0.1", topics_made: bool = True
) -> AsyncIterator[World]:
    """The topics and an LLM; workers are the test's to start.

    Args:
        latency: of the simulated LLM, seconds or ``lognormal:MEDIAN,P95``.
        topics_made: False leaves the broker empty, for the first worker.
    """
    (port,) = free_ports(1)
    argv = (sys.executable, "-m", "vision_stream", "simulate", "llm", "--port", str(port), "--judge", "hash",
            "--keys", "4", "--latency", latency)  # fmt: skip
    llm = ServerProcess("llm", argv, log=directory / "llm.log", cwd=ROOT)
    world = World(settings, environ_of(settings, directory, port), directory, llm, f"http://127.0.0.1:{port}")
    if topics_made:
        await topics.ensure(settings)
    llm.start()
    try:
        yield world
    finally:
        await world.close()
        await llm.stop(within_s=5)


def environ_of(settings: Settings, directory: Path, llm_port: int) -> dict[str, str]:
    """The environment in which ``vision_stream.config.load`` gives these settings, with the simulator's keys."""
    config = directory / "config"
    config.mkdir(parents=True, exist_ok=True)
    kafka = settings.kafka.model_dump(mode="json", exclude_defaults=True)  # an older version may not know all
    base_url = f"http://127.0.0.1:{llm_port}/v1"
    keys = [{"id": f"key-{n:03}", "api_key": f"sk-sim-{n:03}", "base_url": base_url} for n in range(1, 5)]
    (config / "kafka.yaml").write_text(yaml.safe_dump(kafka))
    (config / "api_keys.yaml").write_text(yaml.safe_dump({"keys": keys, "require_picture": False}))
    return {
        "ALGO_CONFIG_DIR": str(config),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": str(settings.redis_enabled).lower(),
        "ALGO_REDIS_URL": settings.redis.url.get_secret_value(),
        "ALGO_DATA_DIR": str(directory / "var"),
        "ALGO_GATING_COOLDOWN_S": "0",
        "ALGO_STREAM_ROLES": ",".join(settings.stream_roles),
        "ALGO_MONITORING_PROMETHEUS_PORT": str(settings.monitoring.prometheus.port),
    }
