"""A Kafka, a worker with all three roles and an LLM simulator on free ports, for a machine where nothing runs yet."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from vision_stream import config, topics
from vision_stream.broker import KafkaBroker
from vision_stream.errors import VisionStreamError
from vision_stream.server_process import ServerProcess, free_ports
from vision_stream.settings import Settings

KEYS = 10
IN_FLIGHT = 200  # of LLM calls: twice what 100 calls a second of 1 s need
READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
STOP_WITHIN_S = 10.0


@asynccontextmanager
async def stand_alone(*, llm_seconds: float, with_pictures: bool) -> AsyncIterator[Settings]:
    """The settings that reach it, with everything up and ready; gone with the block."""
    llm_port, web_port, metrics_port = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="vision-stream-test-") as name:
        directory = Path(name)
        async with KafkaBroker(long_running=True) as kafka:
            environ = _environ(directory, kafka.bootstrap_servers, llm_port, metrics_port, with_pictures)
            settings = config.load(environ=environ)
            await topics.ensure(settings)
            children = _children(directory, environ, llm_seconds, llm_port, web_port)
            try:
                for child in children:
                    child.start()
                await _ready(children, f"http://127.0.0.1:{metrics_port}/readyz")
                yield settings
            finally:
                await asyncio.gather(*(child.stop(within_s=STOP_WITHIN_S) for child in children))


def _environ(
    directory: Path, servers: tuple[str, ...], llm_port: int, metrics_port: int, with_pictures: bool
) -> dict[str, str]:
    base_url = f"http://127.0.0.1:{llm_port}/v1"
    keys = [{"id": f"key-{n:03}", "api_key": f"sk-sim-{n:03}", "base_url": base_url} for n in range(1, KEYS + 1)]
    (directory / "api_keys.yaml").write_text(yaml.safe_dump({"keys": keys}))
    return {
        "ALGO_CONFIG_DIR": str(directory),
        "ALGO_DATA_DIR": str(directory / "var"),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": "false",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": ",".join(servers),
        "ALGO_KAFKA_SCHEDULER_MAX_CONCURRENT_TASKS": str(IN_FLIGHT),
        "ALGO_LLM_REQUIRE_PICTURE": str(with_pictures).lower(),
        "ALGO_MONITORING_PROMETHEUS_PORT": str(metrics_port),
    }


def _children(
    directory: Path, environ: dict[str, str], llm_seconds: float, llm_port: int, web_port: int
) -> tuple[ServerProcess, ...]:
    python = sys.executable
    simulate = ("simulate", "llm", "--port", str(llm_port), "--keys", str(KEYS), "--judge", "hash")
    worker = ("-A", "vision_stream", "worker", "-l", "warn", "--web-host", "127.0.0.1", "--web-port", str(web_port))
    programs = {
        "LLM simulator": (python, "-m", "vision_stream", *simulate, "--latency", f"{llm_seconds:g}"),
        "worker": (python, "-m", "faust", *worker),
    }
    blank = {name: "" for name in os.environ if name.startswith("ALGO_")}  # the user's own settings are another run's
    return tuple(
        ServerProcess(name, argv, log=directory / f"{name.replace(' ', '-')}.log", environ=blank | environ)
        for name, argv in programs.items()
    )


async def _ready(children: tuple[ServerProcess, ...], url: str) -> None:
    async with asyncio.timeout(READY_WITHIN_S), aiohttp.ClientSession() as http:
        while True:
            for child in children:
                if not child.running:
                    raise VisionStreamError(f"{child.name} ended with {child.returncode}:\n{child.tail()}")
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(LOOK_EVERY_S)
