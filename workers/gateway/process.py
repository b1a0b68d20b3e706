"""The gateway as a process: the page answers first, Kafka is joined behind it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from vision_stream import ending, heap, live, logs, metrics, tracing
from vision_stream.background import Background
from vision_stream.config import Loaded, load
from vision_stream.errors import ConfigError
from vision_stream.settings import Settings
from vision_stream.stores.open import open_stores
from workers.gateway.desk import Desk
from workers.gateway.health import Readiness
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster, follow
from workers.gateway.server import Serving, build, serving

_log = structlog.get_logger(__name__)
END_WITHIN_S = 10.0  # of a SIGTERM: browsers that do not take a goodbye are left


async def serve(
    settings: Settings,
    *,
    on_ready: Callable[[Serving], None] | None = None,
    reload: Callable[[], Settings] = load,
    configured: Callable[[], Loaded] | None = None,
) -> None:
    """Serve until cancelled or told to end by SIGTERM; ``on_ready`` is told the address once the page answers.

    At a SIGHUP ``reload`` gives the settings anew: see ``live``. ``configured`` reads them with their places, so that
    changed cameras are shown; None: they stay.

    Raises:
        ConfigError: Kafka streaming is off, the address is taken, or others could reach it without a token.
    """
    if not settings.enable_kafka_streaming:
        raise ConfigError(
            "the gateway process reads from Kafka, and ALGO_ENABLE_KAFKA_STREAMING is false",
            remedy="set it to true, or run everything in one process: vision-stream run --source SOURCE",
        )
    tracing.start(settings.monitoring.tracing, "vision-stream-gateway")
    metrics.count_tasks("gateway")
    heap.keep_small()
    hub, readiness, stores = Hub(), Readiness(), open_stores(settings)
    roster = Roster(settings.cameras.cameras, hub)
    desk = await _desk(settings, roster) if settings.gateway.camera_control else None
    background = Background()
    background.spawn(live.follow_sighup(settings, reload), name="SIGHUP")
    if configured is not None:
        background.spawn(follow(configured, roster), name="config/cameras.yaml is followed")
    if desk is not None:
        background.spawn(_follow_commands(settings, desk), name="camera commands are followed")
    try:
        async with serving(build(settings, hub, stores, roster=roster, desk=desk, readiness=readiness)) as at:
            if on_ready is not None:
                on_ready(at)
            _log.info("gateway serves", url=at.url, token_needed=settings.gateway.token is not None)
            await _until_terminated(_tail(settings, hub, readiness), readiness)
    finally:
        await background.close()
        await stores.close()
        await tracing.stop()


async def _desk(settings: Settings, roster: Roster) -> Desk:
    module = await asyncio.to_thread(importlib.import_module, "workers.gateway.kafka_commands")
    return Desk(settings, roster, module.KafkaCommands(settings.kafka))


async def _follow_commands(settings: Settings, desk: Desk) -> None:
    module = await asyncio.to_thread(importlib.import_module, "workers.capture.commands")
    await module.follow(settings.kafka, desk.learn)


async def _tail(settings: Settings, hub: Hub, readiness: Readiness) -> None:
    readiness.require("kafka", lambda: "the Kafka client is loading")
    # A third of a second of imports: in a thread, because the page should answer meanwhile.
    module = await asyncio.to_thread(importlib.import_module, "workers.gateway.tail")
    logs.mute_kafka_client()
    tail = module.KafkaTail(settings, hub)
    readiness.require("kafka", lambda: tail.lost)
    await tail.run()


async def _until_terminated(work: Coroutine[Any, Any, None], readiness: Readiness) -> None:
    terminated = asyncio.Event()

    def terminate() -> None:
        terminated.set()
        readiness.require("ending", lambda: "the gateway ends")
        ending.at_once_at_the_next(signal.SIGTERM)
        ending.at_the_latest(END_WITHIN_S, 0)

    with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, or no main thread: the owner cancels
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        waiter = group.create_task(terminated.wait())
        await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        waiter.cancel()
