"""The broker told within another process: ``vision-stream run``, or anything else that has an audience."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from vision_stream.background import Background
from vision_stream.errors import ConfigError
from vision_stream.settings import CameraSettings, Settings
from workers.mqtt.outbox import Outbox
from workers.mqtt.sink import MqttSink


@asynccontextmanager
async def telling(
    settings: Settings,
    cameras: Iterable[CameraSettings],
    *,
    only_these: bool = False,
    lost: Callable[[], str | None] = lambda: None,
) -> AsyncIterator[MqttSink]:
    """A sink whose broker is told in the background while the block runs; see ``MqttSink`` for the arguments.

    Raises:
        ConfigError: the extra ``mqtt`` is not installed.
    """
    try:
        from workers.mqtt.link import MqttLink
    except ImportError as error:
        raise ConfigError(
            f"MQTT needs the package {error.name}, which is not installed",
            remedy='pip install "vision-stream[mqtt]", or set mqtt.enabled to false',
        ) from error
    outbox = Outbox(max_news=settings.mqtt.max_waiting)
    sink = MqttSink(settings.mqtt, outbox, cameras, only_these=only_these, lost=lost)
    background = Background()
    background.spawn(sink.look_for_ever(), name="MQTT: who is silent")
    background.spawn(MqttLink(settings.mqtt, outbox, sink.kept).run(), name="MQTT")
    try:
        yield sink
    finally:
        await background.close()
