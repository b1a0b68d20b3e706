"""Sending, and knowing that it is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from faust.transport.drivers import aiokafka as driver
from msgspec import Struct

from vision_stream import tracing
from vision_stream.delivery.record import handled
from vision_stream.messages import encode

if TYPE_CHECKING:
    from vision_stream.app import App
    from vision_stream.tracing.spans import Sending

CONTENT_TYPE = ("content-type", b"application/json")
STOP_WITHIN_S = 2.0  # a producer, once it was flushed


class Producer(driver.Producer):
    """Faust leaves idempotence off outside of transactions: a retried batch could come twice or out of order."""

    mundane_level = "debug"  # of "Starting..." and the like

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_stop(self) -> None:
        """Without the broker, aiokafka would wait for what is on its way; what led to it was not acked."""
        stopping = asyncio.ensure_future(super().on_stop())
        await asyncio.wait((stopping,), timeout=STOP_WITHIN_S)
        stopping.cancel()


class Outbox:
    """Where an agent puts what follows from a message."""

    def __init__(self, app: App, topic: str) -> None:
        self.topic = topic
        self._app = app

    async def deliver(self, key: str, messages: Iterable[Struct]) -> None:
        """Send ``messages`` in order, and return when the brokers have all of them.

        Args:
            key: the camera id; it decides the partition, with aiokafka's default partitioner in every process.

        Raises:
            KafkaError, ProducerSendError: not delivered, or not known to be: send again.
        """
        await self.deliver_bytes(key.encode(), [encode(m) for m in messages])

    async def deliver_bytes(self, key: bytes | None, payloads: Iterable[bytes]) -> None:
        sent = [await self._send(key, payload) for payload in payloads]
        if sent:
            await asyncio.shield(asyncio.gather(*sent))  # a cancelled handler must not cancel the producer's futures

    async def _send(self, key: bytes | None, payload: bytes) -> Awaitable[Any]:
        span = tracing.sending(self.topic, key)
        try:
            sent = await self._app.producer.send(self.topic, key, payload, None, None, cast(Any, _headers(span)))
        except BaseException as error:
            if span is not None:
                span.failed(type(error).__name__)
            raise
        if span is not None:
            cast("asyncio.Future[Any]", sent).add_done_callback(partial(_settled, span))
        return sent


def _headers(span: Sending | None) -> list[tuple[str, bytes]]:
    """What a message causes belongs to its trace, also where this process does not trace."""
    if span is not None:
        return [CONTENT_TYPE, *span.headers]
    record = handled.get()
    passed = [h for h in record.headers if h[0] in tracing.CONTEXT_HEADERS] if record else []
    return [CONTENT_TYPE, *passed]


def _settled(span: Sending, sent: asyncio.Future[Any]) -> None:
    error = None if sent.cancelled() else sent.exception()
    if sent.cancelled() or error is not None:
        span.failed(type(error).__name__ if error else "cancelled")
    else:
        span.delivered(sent.result().partition, sent.result().offset)
