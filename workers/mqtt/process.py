"""``vision-stream mqtt``: reads Kafka as the gateway does, and tells an MQTT broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from vision_stream import live, logs, metrics, tracing
from vision_stream.background import Background
from vision_stream.config import Loaded
from vision_stream.errors import ConfigError
from vision_stream.probes import probes
from vision_stream.settings import Settings
from workers.capture.reloading import changed_cameras
from workers.ending import Ending
from workers.mqtt.beside import telling
from workers.mqtt.sink import MqttSink

_log = structlog.get_logger(__name__)


async def serve(settings: Settings, configured: Callable[[], Loaded]) -> int:
    """Tell the broker until told to end; returns the exit code. ``configured`` reads the settings again.

    Raises:
        ConfigError: Kafka streaming is off, or the extra ``mqtt`` is not installed.
    """
    if not settings.enable_kafka_streaming:
        raise ConfigError(
            "the MQTT process reads from Kafka, and ALGO_ENABLE_KAFKA_STREAMING is false",
            remedy="set it to true, or set mqtt.enabled and run everything in one process: vision-stream run",
        )
    from workers.gateway.tail import KafkaTail

    logs.mute_kafka_client()
    tracing.start(settings.monitoring.tracing, "vision-stream-mqtt")
    ending, background = Ending(), Background()
    background.spawn(metrics.beat("mqtt"), name="heartbeat")
    background.spawn(live.follow_sighup(settings, lambda: configured().settings), name="SIGHUP")
    tails: list[KafkaTail] = []

    def lost() -> str | None:
        return tails[0].lost if tails else "the Kafka client is starting"

    try:
        async with telling(settings, settings.cameras.cameras, lost=lost) as sink:
            tails.append(KafkaTail(settings, sink))
            probes.require("kafka", lost)
            metrics.serve(settings.monitoring.prometheus.port, host=settings.monitoring.prometheus.host)
            background.spawn(_follow(configured, sink), name="config/cameras.yaml is followed")
            await ending.until_told(asyncio.ensure_future(tails[0].run()))
    finally:
        await background.close()
        await tracing.stop()
    return ending.code


async def _follow(configured: Callable[[], Loaded], sink: MqttSink) -> None:
    async for cameras in changed_cameras(configured):
        sink.configure(cameras)
