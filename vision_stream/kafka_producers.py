"""The end of a Kafka producer whose broker may be gone."""

from __future__ import annotations

import asyncio
import itertools

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

_log = structlog.get_logger(__name__)


async def dispose(producer: AIOKafkaProducer, *, within_s: float) -> None:
    """Close a producer without waiting for what it could not send: its ``stop`` would, for as long as the broker is
    away, and there is no public way to tell it not to. First the task that sends, or it would trip over the rest."""
    accumulator = producer._message_accumulator
    try:
        async with asyncio.timeout(within_s):
            await producer._sender.close()
            waiting = list(itertools.chain.from_iterable(accumulator._batches.values()))
            # One that was to be sent again is no longer pending, and its end trips over that.
            accumulator._pending_batches.update(batch for batch in waiting if batch.retry_count)
            for batch in {*waiting, *accumulator._pending_batches}:
                batch.future.cancel()
            await producer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        _log.debug("producer closed the hard way", error=str(error))
        await producer.client.close()
