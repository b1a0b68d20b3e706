"""Processes under watch, and everything that they wrote: for a test that looks for what must not be there."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from vision_stream.server_process import ServerProcess
from vision_stream.settings import Settings

ROOT = Path(__file__).parents[1]


class World:
    """The processes, what they said, and all that was answered."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.environ = environ
        self.heard: dict[str, bytes] = {}
        self.command_lines: set[bytes] = set()
        self._processes: list[ServerProcess] = []
        self._two_at_a_time = asyncio.Semaphore(2)

    def start(self, name: str, *argv: str) -> None:
        log = self.directory / f"{name}.log"
        process = ServerProcess(name, (sys.executable, *argv), log=log, cwd=ROOT, environ=self.environ)
        self._processes.append(process)
        process.start()

    async def command(self, name: str, *argv: str, cwd: Path | None = None, **environ: str) -> int:
        """Run it to its end; its exit code."""
        async with self._two_at_a_time:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *argv),
                cwd=cwd or self.directory,
                env={**os.environ, **self.environ, **environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await asyncio.wait_for(process.communicate(), 50)
        self.heard[name] = said
        assert process.returncode is not None
        return process.returncode

    async def watch_command_lines(self) -> None:
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.command_lines.add(path.read_bytes())
                except OSError:
                    continue  # it has ended
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        await asyncio.gather(*(process.stop(within_s=10) for process in self._processes))


async def all_records(settings: Settings) -> dict[str, bytes]:
    """Of every topic of this test, changelogs included: key, value and headers."""
    consumer = AIOKafkaConsumer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await consumer.start()
    try:
        names = [name for name in await consumer.topics() if name.startswith(settings.kafka.app_id)]
        places = [TopicPartition(name, 0) for name in names]  # one partition each
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: dict[str, bytes] = {}
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    headers = b" ".join(name.encode() + b"=" + value for name, value in record.headers)
                    whole = b"\n".join((record.key or b"", record.value or b"", headers))
                    found[f"{place.topic}@{record.offset}"] = whole
        return found
    finally:
        await consumer.stop()


async def all_of_redis(url: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter():
            match await redis.type(key):
                case b"string":
                    value = await redis.get(key)
                case b"list":
                    value = await redis.lrange(key, 0, -1)
                case b"hash":
                    value = await redis.hgetall(key)
                case b"zset":
                    value = await redis.zrange(key, 0, -1)
                case other:
                    raise AssertionError(f"{key} is a {other}: say how to read it")
            found[f"Redis {key}"] = key + b"\n" + (value if isinstance(value, bytes) else repr(value).encode())
    return found


def all_files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
