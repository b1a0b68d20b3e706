"""Runs the demo: everything at once, watched, until Ctrl-C or its time is over; then all of it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from vision_stream import config
from vision_stream.background import Background
from vision_stream.broker import KafkaBroker
from vision_stream.errors import VisionStreamError
from vision_stream.redis_server import RedisServer
from vision_stream.server_process import ServerProcess, free_ports, require_free
from vision_stream.settings import Settings
from workers.demo import ledger
from workers.demo.observer import Observed, observe
from workers.demo.plan import Demo, DemoOptions, Ports, plan
from workers.demo.report import Report, report

STOP_WITHIN_S = 5.0  # the workers', side by side; then 3 s for the servers: under 10 s from Ctrl-C to the end
SERVERS_STOP_WITHIN_S = 3.0
SETTLE_SLACK_S = 10.0  # past a task's deadline, until its outcome and join are on the topics
PORTS_TRIED = 20

Say = Callable[[str], None]


class Interrupted(Exception):
    """Ctrl-C, or a SIGTERM: the demo has been ended in order."""


class Running:
    """The demo's processes while they run."""

    def __init__(self, settings: Settings, ports: Ports, children: tuple[ServerProcess, ...]) -> None:
        self.settings = settings
        self.ports = ports
        self.children = children
        self.observed = Observed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.gateway}/"

    def fail_if_ended(self) -> None:
        for child in self.children:
            if not child.running:
                raise VisionStreamError(f"{child.name} ended with exit code {child.returncode}:\n{child.tail()}")

    async def end_cameras(self) -> None:
        cameras = [child for child in self.children if child.name.startswith("capture")]
        self.children = tuple(child for child in self.children if child not in cameras)
        await asyncio.gather(*(child.stop(within_s=STOP_WITHIN_S) for child in cameras))


async def run(
    options: DemoOptions, *, seconds: float | None, say: Say, logs: Path | None = None, open_browser: bool = False
) -> Report:
    """Run the demo for ``seconds``, or until Ctrl-C.

    Args:
        logs: where the processes' logs stay; else they go with the demo, unless it fails.
    Raises:
        Interrupted: after Ctrl-C, when all has ended.
        VisionStreamError: a process ended by itself; says its last words.
    """
    started_at = time.time()
    with _ended_by_signals() as ended, _log_directory(logs, say) as log_dir:
        async with _demo(options, log_dir, ended, say) as running:
            if open_browser:
                await asyncio.to_thread(_open_browser, running.url)
            await _until(running, ended, seconds, say)
            say("stopping the cameras, and waiting until every task has its outcome")
            ended_at = time.time()
            await running.end_cameras()
            return await _report(running, started_at, ended_at, options)


async def _until(running: Running, ended: asyncio.Event, seconds: float | None, say: Say) -> None:
    """Watch until it is time to end."""
    until = None if seconds is None else time.monotonic() + seconds
    told = False
    while until is None or time.monotonic() < until:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 0.2)
        if ended.is_set():
            raise Interrupted
        running.fail_if_ended()
        if not told and running.observed.assessments:
            told = True
            say("the first risk judgement is on the dashboard")


async def _report(running: Running, started_at: float, ended_at: float, options: DemoOptions) -> Report:
    patience = running.settings.kafka.scheduler.task_deadline_s + SETTLE_SLACK_S
    found = await ledger.settled(running.settings, patience)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3):  # the last pushes are on their way
            while len({a.request_id for _, a in running.observed.assessments}) < len(found.joined):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    calls = None if options.real_llm else await _llm_calls(running.ports.llm)
    return report(found, running.observed, started_at=started_at, ended_at=ended_at, llm_calls=calls)


@asynccontextmanager
async def _demo(options: DemoOptions, log_dir: Path, ended: asyncio.Event, say: Say) -> AsyncIterator[Running]:
    """All processes, from their start to their end."""
    ports = _choose_ports(options.port)
    demo = plan(options, ports, log_dir / "config")
    _write_config(demo, log_dir / "config")
    settings = config.load(environ={**os.environ, **demo.environ})
    children = tuple(
        ServerProcess(p.name, p.argv, log=log_dir / f"{p.name.replace(' ', '-')}.log", environ=demo.environ)
        for p in demo.programs
    )
    broker, redis = KafkaBroker(port=ports.kafka), RedisServer(port=ports.redis)
    running = Running(settings, ports, children)
    background = Background()
    try:
        for child in children:
            child.start()
        say(f"dashboard: {running.url}  (Kafka and Redis still start behind it)")
        background.spawn(observe(f"ws://127.0.0.1:{ports.gateway}/ws", running.observed), name="observer")
        await _unless(ended, asyncio.gather(redis.start(), broker.start()))
        say(f"Kafka on 127.0.0.1:{ports.kafka}, Redis on :{ports.redis}, Faust's page on :{ports.faust}/stats")
        yield running
    finally:
        await background.close(within_s=1.0)
        await asyncio.gather(*(child.stop(within_s=STOP_WITHIN_S) for child in running.children))
        await asyncio.gather(broker.stop(within_s=SERVERS_STOP_WITHIN_S), redis.stop(within_s=SERVERS_STOP_WITHIN_S))


async def _unless(ended: asyncio.Event, work: Awaitable[Any]) -> None:
    """Await ``work``; break it off where it is time to end."""
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Interrupted
        await working
    finally:
        ending.cancel()
        working.cancel()
        await asyncio.wait((working,), timeout=SERVERS_STOP_WITHIN_S)


def _choose_ports(gateway: int) -> Ports:
    """The gateway's is the wanted one or the next that is free; nobody types the others."""
    for port in range(gateway, gateway + PORTS_TRIED):
        with contextlib.suppress(VisionStreamError):
            require_free((port,))
            break
    else:
        raise VisionStreamError(f"ports {gateway} to {port} are all taken", remedy="give another --port")
    kafka, redis, llm, faust = free_ports(4)
    return Ports(gateway=port, kafka=kafka, redis=redis, llm=llm, faust=faust)


def _write_config(demo: Demo, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in demo.files.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(text)


def _open_browser(url: str) -> None:
    """Where there is a desktop to open it on."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


async def _llm_calls(port: int) -> int | None:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            http.get(f"http://127.0.0.1:{port}/calls?since={time.time():.0f}") as answer,
        ):
            return int((await answer.json())["total"])
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


@contextmanager
def _ended_by_signals() -> Iterator[asyncio.Event]:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        yield ended
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def _log_directory(wanted: Path | None, say: Say) -> Iterator[Path]:
    """Where logs go. A temporary one goes with the demo, unless that failed: then somebody wants to read them."""
    directory = wanted.resolve() if wanted else Path(tempfile.mkdtemp(prefix="vision-stream-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield directory
    except VisionStreamError:
        say(f"the processes' logs are in {directory}")
        raise
    except BaseException:
        if wanted is None:
            shutil.rmtree(directory, ignore_errors=True)
        raise
    else:
        if wanted is None:
            shutil.rmtree(directory, ignore_errors=True)
