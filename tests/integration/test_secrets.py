"""Canaries instead of secrets, every way to fail tried in real processes, and then nothing of them is found anywhere.

API keys, camera passwords, the gateway's token and Redis's password are looked for in logs, tracebacks, pages, topics,
Redis, files and command lines: plain, escaped, encoded and hashed (``tests.secret_search``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import yaml
from aiokafka import AIOKafkaProducer

from tests.conftest import SettingsMaker
from tests.leaky_endpoint import BEHAVIOURS, LeakyEndpoint, leaky_endpoint
from tests.secret_search import Searcher
from tests.waiting import eventually
from tests.watched import World, all_files, all_of_redis, all_records
from vision_stream.background import Background
from vision_stream.redis_server import RedisServer
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings
from vision_stream.topics import ensure

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.timeout(480)]

# Each with what an encoder changes; a key may hold what an HTTP header may.
KEYS = {name: f"cnry.{name}+/=\"'\\%7F{n}qZ&w9Xk" for n, name in enumerate(BEHAVIOURS)}
SECRETS = {
    **{f"API key {name}": key for name, key in KEYS.items()},
    "the environment's API key": "sk-proj-cnryEnv-4fQ9_zT71vB2mK8",
    "RTSP password": 'cnry rtsp:p@ss/w#rd?"5kJ8ü',
    "HTTP camera's password": "cnry-http%p+ss&7Ld0Qx",
    "HTTP camera's token": "cnryQueryToken-91fHs2Lm",
    "gateway token": 'cnry-gate"way\\t0ken+/8RkW',
    "Redis password": "cnry-r3dis:p@ss/w0rd#6TzN",
    "Kafka password": "cnry-k@fka/pass w0rd&4Hn",
    "wrong Redis password": "cnry-wr0ng-r3dis-2BxV#@:",
}
PROBES = ("/metrics", "/readyz", "/healthz")
MISPLACED = "cnryMisplaced-77aQ-x0Zk3"
CRASH = """
import structlog
from vision_stream import config, logs
from vision_stream.llm.client import AiohttpClient
loaded = config.load_with_places()
settings = loaded.settings
logs.setup("DEBUG", "{format}")
try:
    raise ConnectionError(f"cannot reach {{settings.redis.url.get_secret_value()}} and {{settings.llm.keys}}")
except ConnectionError:
    key = settings.llm.keys[0].api_key.get_secret_value() + settings.kafka.security.password.get_secret_value()
    structlog.get_logger().exception("crashed", settings=settings, loaded=loaded, key=key, stack_info=True)
raise RuntimeError(f"crashed: {{settings}} {{loaded!r}}")
"""


def configure(settings: Settings, directory: Path, base_url: str, camera_ports: tuple[int, int]) -> None:
    """The files as the documentation has them: secrets come from the environment."""
    refusing, answering = camera_ports
    cameras = {
        "sim": "sim:crossing?seed=1",
        "rtsp": f"rtsp://admin:${{RTSP_PASSWORD}}@127.0.0.1:{refusing}/stream",
        "http": f"http://admin:${{HTTP_PASSWORD}}@127.0.0.1:{answering}/camera?token=${{HTTP_TOKEN}}",
    }
    keys = [{"id": f"key-{name}", "api_key": f"${{KEY_{name.upper()}}}", "base_url": base_url} for name in KEYS]
    files = {
        "kafka.yaml": settings.kafka.model_dump(mode="json"),
        "api_keys.yaml": {"keys": keys, "require_picture": False, "cooling": {"min_cooldown": 0.5, "max_cooldown": 1}},
        "cameras.yaml": {"cameras": [{"id": name, "source": source} for name, source in cameras.items()]},
    }
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_text(yaml.safe_dump(content))


def environment(directory: Path, redis_url: str, ports: Mapping[str, int]) -> dict[str, str]:
    return {
        **{f"KEY_{name.upper()}": key for name, key in KEYS.items()},
        "OPENAI_API_KEY": SECRETS["the environment's API key"],
        "RTSP_PASSWORD": quote(SECRETS["RTSP password"], safe=""),
        "HTTP_PASSWORD": quote(SECRETS["HTTP camera's password"], safe=""),
        "HTTP_TOKEN": SECRETS["HTTP camera's token"],
        "ALGO_CONFIG_DIR": str(directory / "config"),
        "ALGO_DATA_DIR": str(directory / "var"),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": "true",
        "ALGO_REDIS_URL": redis_url,
        "ALGO_GATEWAY_TOKEN": SECRETS["gateway token"],
        "ALGO_GATEWAY_PORT": str(ports["gateway"]),
        "ALGO_KAFKA_SECURITY_PASSWORD": SECRETS["Kafka password"],
        "ALGO_GATING_COOLDOWN_S": "0",
        "ALGO_MONITORING_PROMETHEUS_PORT": str(ports["metrics"]),
        "ALGO_LOG_LEVEL": "DEBUG",
        "PYTHONUNBUFFERED": "1",
    }


async def misuse_the_gateway(world: World, port: int) -> None:
    """Pages with the token in all places where it is taken, a wrong one, and requests that are none."""
    token, base = SECRETS["gateway token"], f"http://127.0.0.1:{port}"
    bearer = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(base) as client:
        for path in ("/", "/api/v1/cameras", "/api/v1/cameras/sim/latest", "/api/v1/alerts", "/metrics", "/readyz",
                     "/api/v1/openapi.json", "/api/v1/cameras/none/latest", "/static/js/none.js"):  # fmt: skip
            ways: dict[str, Any] = {"bearer": {"headers": bearer}, "query": {"params": {"token": token}}}
            for how, options in ways.items():
                async with client.get(path, **options) as answer:
                    world.heard[f"gateway {path} by {how}"] = str(answer.headers).encode() + await answer.read()
        for wrong in (token[:-1], f"{token}x"):
            async with client.get("/api/v1/cameras", params={"token": wrong}) as answer:
                assert answer.status == 401
                world.heard[f"gateway's refusal of {len(wrong)}"] = await answer.read()
        async with client.post("/login", json={"token": token}) as answer:
            world.heard["gateway login"] = str(answer.headers).encode() + await answer.read()
    for request in (
        f"GET /?token={token}\x00 HTTP/9.9\r\nAuthorization {token}\r\n\r\n",
        f"GET /{'a' * 9000}?token={token} HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        assert b" 400 " in await asyncio.wait_for(reader.read(), 10)  # and repeats the line, to who sent it
        writer.close()


async def listen(world: World, port: int, until: set[str]) -> None:
    """What a browser is pushed, until there is something of each kind."""
    heard, seen = bytearray(), set()
    url = f"http://127.0.0.1:{port}/ws"
    token = {"token": SECRETS["gateway token"]}
    async with aiohttp.ClientSession() as client, client.ws_connect(url, params=token) as ws:
        await ws.send_json({"type": "subscribe", "cameras": "*"})
        async with asyncio.timeout(40):
            while not until <= seen:
                text = await ws.receive_str()
                heard += text.encode()
                seen.add(json.loads(text)["type"])
    world.heard["WebSocket"] = bytes(heard)


async def pages_of(world: World, worker: int, metrics: int) -> None:
    """Of the worker's web server, and the metrics of worker and capture, which take the next free port."""
    pages = {worker: ("/stats", "/stats?format=json", "/"), metrics: PROBES, metrics + 1: PROBES}
    async with aiohttp.ClientSession() as client:
        for port, paths in pages.items():
            for path in paths:
                async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                    world.heard[f"page {port}{path}"] = await answer.read()


async def run_commands(world: World, redis_port: int) -> None:
    """Every command that shows or tries something, and the wrong configurations; with their exit codes."""
    program = ("-m", "vision_stream")
    wrong_redis = f"redis://:{quote(SECRETS['wrong Redis password'], safe='')}@127.0.0.1:{redis_port}/0"
    expected = {
        ("check-config", "--show"): 0,
        ("check-config", "--show", "--json"): 0,
        ("doctor", "--json"): 0,
        ("keys", "list"): 0,
        ("keys", "list", "--json"): 0,
        ("keys", "test", "--min", "6"): 1,
        ("keys", "test", "--min", "6", "--json"): 1,
        ("audit",): None,
        ("dead-letters", "list"): 0,
        ("dead-letters", "replay", "--dry-run"): 0,
    }
    async with asyncio.TaskGroup() as group:
        runs = {args: group.create_task(world.command(" ".join(args), *program, *args)) for args in expected}
        crashes = [group.create_task(world.command(f"crash {form}", "-c", CRASH.format(format=form)))
                   for form in ("json", "console")]  # fmt: skip
        doctor = group.create_task(world.command("doctor, wrong", *program, "doctor", ALGO_REDIS_URL=wrong_redis))
    codes = {args: run.result() for args, run in runs.items()}
    assert all(codes[args] == code for args, code in expected.items() if code is not None), codes
    assert (doctor.result(), [crash.result() for crash in crashes]) == (3, [1, 1])


IN_DOT_ENV = ("ALGO_GATEWAY_PORT", "ALGO_LOG_LEVEL")
WRONG = {
    "kafka.yaml": """\
scheduler: {max_concurrent_tasks: SECRET}
acks: SECRET
""",
    "api_keys.yaml": """\
keys: [{id: 'SECRET!', api_key: SECRET, rpm_limit: SECRET, base_url: SECRET}, {id: b, api_key: SECRET, base_url: 'https://SECRET@api/v1'}]
password: SECRET
selection_strategy: SECRET
""",
    "cameras.yaml": """\
cameras: [{id: a, source: 'rtsp://u:SECRET@h/', fps: SECRET, password: SECRET}]
""",
    "settings.yaml": """\
gateway: {token: [SECRET], port: SECRET, tokn: SECRET}
redis: SECRET
""",
    "monitoring.yaml": "prometheus: {port: SECRET\n SECRET",
    ".env": """\
ALGO_GATEWAY_PORT=SECRET
ALGO_GATEWAY_TOKN=SECRET
ALGO_LOG_LEVEL=SECRET
SECRET
""",
}


async def misconfigure(world: World) -> None:
    """A secret where none belongs: what is found there must not be shown."""
    runs: list[asyncio.Task[int]] = []
    async with asyncio.TaskGroup() as group:
        for file, content in WRONG.items():
            directory = world.directory.parent / f"wrong-{file}"
            directory.mkdir()
            (directory / file).write_text(content.replace("SECRET", MISPLACED))
            command = ("-m", "vision_stream", "check-config")
            environ = {"ALGO_CONFIG_DIR": str(directory)} | dict.fromkeys(IN_DOT_ENV, "")
            runs.append(group.create_task(world.command(f"wrong {file}", *command, cwd=directory, **environ)))
    assert [run.result() for run in runs] == [2] * len(WRONG)


async def send_poison(settings: Settings) -> None:
    """A message that nobody can read, so that there is a dead letter to show."""
    producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await producer.start()
    await producer.send_and_wait(settings.kafka.topics.detection_results.name, b"\xff no detection", b"sim")
    await producer.stop()


async def refuse_password(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A camera that wants another password."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=camera\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_no_secret_is_found_anywhere_after_every_way_to_fail(tmp_path: Path, kafka_settings: SettingsMaker):
    redis_server = RedisServer(password=SECRETS["Redis password"])
    names = ("llm", "refusing", "answering", "gateway", "worker", "metrics")
    ports: dict[str, int] = dict(zip(names, free_ports(len(names)), strict=True))
    background = Background()
    async with redis_server, leaky_endpoint(KEYS, ports["llm"]) as endpoint:
        settings = kafka_settings(partitions=1, redis_url=redis_server.url)
        configure(settings, tmp_path / "config", endpoint.base_url, (ports["refusing"], ports["answering"]))
        environ = environment(tmp_path, redis_server.url, ports)
        world = World(tmp_path / "run", environ)
        world.directory.mkdir()
        camera = await asyncio.start_server(refuse_password, "127.0.0.1", ports["answering"])
        background.spawn(world.watch_command_lines(), name="command lines")
        try:
            await ensure(settings)
            await exercise(world, settings, endpoint, ports, redis_server.port)
            world.heard |= await all_records(settings) | await all_of_redis(redis_server.url)
        finally:
            await world.end()
            camera.close()
            await background.close()
        world.heard |= all_files(tmp_path) | {"a command line": b"\n".join(world.command_lines)}

    search = Searcher(SECRETS | {"the misplaced secret": MISPLACED})
    hits = {name: hits for name, data in world.heard.items() if (hits := search.search(name, data))}
    meant = {name for name in hits if name.startswith("wrong-")}  # the files that the test wrote
    assert meant == {f"wrong-{file}/{file}" for file in WRONG}
    leaks = [hit for name, found in hits.items() if name not in meant for hit in found]
    assert not leaks, "\n".join(leaks)
    for said in ("worker", "gateway", "capture"):
        assert b"debug" in world.heard[f"run/{said}.log"].lower()


async def exercise(
    world: World, settings: Settings, endpoint: LeakyEndpoint, ports: Mapping[str, int], redis_port: int
) -> None:
    world.start("worker", "-m", "faust", "-A", "vision_stream", "worker", "--web-port", str(ports["worker"]))
    world.start("gateway", "-m", "workers.gateway")
    world.start("capture", "-m", "workers.capture", "--fps", "4")
    await send_poison(settings)
    await misconfigure(world)
    await eventually(lambda: set(endpoint.calls) == set(KEYS), within_s=40, what=f"all keys called: {endpoint.calls}")
    await listen(world, ports["gateway"], until={"detection_result", "risk_assessment", "alert", "camera_status"})
    await misuse_the_gateway(world, ports["gateway"])
    await pages_of(world, ports["worker"], ports["metrics"])
    await run_commands(world, redis_port)
