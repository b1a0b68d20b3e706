"""The rival of ``pipeline_overhead``: three hops on bare aiokafka, no gate, no state, no order, no retry.

Run by that benchmark in a process of its own, as the Faust worker is: ``bare_hops.py SERVERS TOPIC TOPIC TOPIC TOPIC``.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main(servers: str, *topics: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0)
    await producer.start()
    async with asyncio.TaskGroup() as hops:
        for source, target in pairwise(topics):
            hops.create_task(_hop(servers, producer, source, target))


async def _hop(servers: str, producer: AIOKafkaProducer, source: str, target: str) -> None:
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=servers, group_id=f"bare-{source}", auto_offset_reset="earliest"
    )
    await consumer.start()
    async for message in consumer:
        await producer.send(target, message.value, key=message.key)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
