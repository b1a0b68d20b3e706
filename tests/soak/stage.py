"""The processes of a run: Kafka, Redis, the LLM simulator, workers and a gateway, and who watches over them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from tests.faults.harness import World
from tests.faults.harness.world import ROOT, Worker, environ_of
from tests.soak.journal import Journal
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.broker import KafkaBroker
from vision_stream.redis_server import RedisServer
from vision_stream.server_process import ServerProcess, free_ports
from vision_stream.settings import KeySettings, Settings

APP_ID = "soak"
RETENTION_S = 600  # long enough for every reader here, and it bounds the disk
KEYS, QPS_LIMIT, RPM_LIMIT = 8, 20, 600  # 80 calls a second in all, where 30 to 40 are asked for
LLM_LATENCY = "lognormal:0.3,1.0"
HEAP_MB = 384
WATCHED_EVERY_S = 1.0


@dataclass
class Stage:
    settings: Settings
    journal: Journal
    world: World
    kafka: KafkaBroker
    redis: RedisServer
    llm: ServerProcess
    gateway: ServerProcess
    gateway_url: str
    llm_url: str
    environ: dict[str, str]  # as the workers have it
    workers: dict[str, Worker] = field(default_factory=dict)
    metrics_ports: dict[str, int] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    watched: set[str] = field(default_factory=set)  # workers that are started again when they end
    all_were_killed: bool = False  # at once; once is enough for the one whose memory is judged

    def worker(self, name: str) -> Worker:
        """A worker that does not run yet."""
        if name not in self.workers:
            (port,) = free_ports(1)
            self.metrics_ports[name] = port
            self.workers[name] = self.world.worker(name, ALGO_MONITORING_PROMETHEUS_PORT=str(port))
        return self.workers[name]

    async def start(self, name: str, *, until_ready: bool = True) -> None:
        worker = self.worker(name)
        self.lives[name] = self.lives.get(name, 0) + 1
        self.journal.write("started", process=name, life=self.lives[name])
        await worker.start(until_ready=until_ready)

    async def watch(self) -> None:
        """What a supervisor does: start again what has ended. Until cancelled."""
        while True:
            for name in sorted(self.watched):
                if not self.workers[name].process.running:
                    self.journal.write("ended", process=name, status=self.workers[name].process.returncode)
                    await self.start(name, until_ready=False)
            await asyncio.sleep(WATCHED_EVERY_S)


@asynccontextmanager
async def open_stage(directory: Path, journal: Journal) -> AsyncIterator[Stage]:
    """Everything but the workers, which the run starts."""
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(KafkaBroker(heap_mb=HEAP_MB, long_running=True))
        redis = await stack.enter_async_context(RedisServer())
        settings = settings_of(kafka, redis)
        llm_port, gateway_port = free_ports(2)
        environ = environ_of(settings, directory, llm_port)
        _write_keys(directory / "config", llm_port)
        await topics.ensure(settings)
        llm = await stack.enter_async_context(_running(_llm(directory, llm_port)))
        gateway = await stack.enter_async_context(_running(_gateway(directory, environ, gateway_port)))
        url = f"http://127.0.0.1:{gateway_port}"
        await eventually(lambda: _answers(f"{url}/readyz"), 30, every_s=0.2, what=f"gateway ready\n{gateway.tail()}")
        llm_url = f"http://127.0.0.1:{llm_port}"
        world = World(settings, environ, directory, llm, llm_url)
        stack.push_async_callback(world.close)
        yield Stage(settings, journal, world, kafka, redis, llm, gateway, url, llm_url, environ)


def settings_of(kafka: KafkaBroker, redis: RedisServer) -> Settings:
    """As the product has them, but for the retention."""
    retained = {
        name: topic | {"name": f"{APP_ID}-{name.replace('_', '-')}", "retention_s": RETENTION_S}
        for name, topic in Settings().kafka.topics.model_dump().items()
    }
    return Settings.model_validate(
        {
            "enable_kafka_streaming": True,
            "enable_redis": True,
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "app_id": APP_ID, "topics": retained},
            "redis": {"url": redis.url},
            "monitoring": {"prometheus": {"port": 0}},
        }
    )


def _write_keys(config: Path, llm_port: int) -> None:
    keys = [
        {
            "id": f"key-{n:03}",
            "api_key": f"sk-sim-{n:03}",
            "base_url": f"http://127.0.0.1:{llm_port}/v1",
            "qps_limit": QPS_LIMIT,
            "rpm_limit": RPM_LIMIT,
        }
        for n in range(1, KEYS + 1)
    ]
    prices = [
        {"model": KeySettings.model_fields["model"].default, "input_per_million": 0.15, "output_per_million": 0.6}
    ]
    told = {"keys": keys, "prices": prices, "require_picture": False}
    (config / "api_keys.yaml").write_text(yaml.safe_dump(told))


def _llm(directory: Path, port: int) -> ServerProcess:
    argv = (sys.executable, "-m", "vision_stream", "simulate", "llm", "--port", str(port), "--judge", "hash",
            "--keys", str(KEYS), "--qps", str(QPS_LIMIT), "--rpm", str(RPM_LIMIT),
            "--latency", LLM_LATENCY)  # fmt: skip
    return ServerProcess("llm", argv, log=directory / "llm.log", cwd=ROOT)


def _gateway(directory: Path, environ: dict[str, str], port: int) -> ServerProcess:
    argv = (sys.executable, "-m", "workers.gateway", "--port", str(port))
    return ServerProcess("gateway", argv, log=directory / "gateway.log", cwd=ROOT, environ=environ)


@asynccontextmanager
async def _running(process: ServerProcess) -> AsyncIterator[ServerProcess]:
    process.start()
    try:
        yield process
    finally:
        await process.stop(within_s=5)


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
