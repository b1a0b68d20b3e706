"""Kafka consumers without a group, and the end of any: aiokafka's own can hang, and lets out cancellations that are not
its caller's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from vision_stream.kafka_client import client_options
from vision_stream.settings import KafkaSettings


def groupless(kafka: KafkaSettings, *, request_s: float, **options: Any) -> AIOKafkaConsumer:
    """One that reads from where it is placed, and commits nothing. An offset that is gone ends its reading; whoever
    reads begins anew."""
    return AIOKafkaConsumer(
        **client_options(kafka),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=int(request_s * 1000),
        metadata_max_age_ms=30_000,
        **options,
    )


async def stop(consumer: AIOKafkaConsumer, *, within_s: float) -> None:
    """Leave nothing behind; the broker may be gone, and then nothing of this is sure to work.

    In tasks of their own, because aiokafka lets the cancellation of its own tasks out of ``stop``, before it has closed
    its client, and that would be taken for ours.
    """
    async with asyncio.TaskGroup() as group:
        for close in (consumer.stop, consumer._client.close):
            task = group.create_task(_quietly(close))
            await asyncio.wait((task,), timeout=within_s)
            task.cancel()


async def _quietly(close: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(KafkaError, OSError):
        await close()
