"""This machine's clock beside Kafka's and Redis's: deadlines and delays are differences of times of several hosts."""

from __future__ import annotations

import time
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vision_stream.checks.finding import WITHIN_S, Finding
from vision_stream.kafka_client import client_options
from vision_stream.settings import Settings

APART_S = 1.0  # what the push of a detection may take; a task lives 30
METADATA = "__cluster_metadata"  # KRaft's own log; its leader is the active controller


async def clock(settings: Settings) -> Finding:
    apart: dict[str, float] = {}
    if settings.enable_kafka_streaming and (seconds := await _kafkas(settings)) is not None:
        apart["Kafka's controller"] = seconds
    if settings.redis_enabled and (seconds := await _redis(settings)) is not None:
        apart["Redis"] = seconds
    return judge(apart)


def judge(apart: dict[str, float]) -> Finding:
    """Pure: ``apart`` is by how many seconds the clock of each is ahead of ours."""
    if not apart:
        return Finding("clock", "unused", "no other clock to compare with")
    text = ", ".join(f"{name} {seconds:+.2f} s" for name, seconds in apart.items())
    if any(abs(seconds) > APART_S for seconds in apart.values()):
        remedy = "synchronise all hosts (chrony, systemd-timesyncd): tasks expire early, or late, by the difference"
        return Finding("clock", "wrong", f"apart: {text}", remedy, 1)
    return Finding("clock", "ok", f"as others' within {APART_S:g} s: {text}")


async def _kafkas(settings: Settings) -> float | None:
    """Kafka has no question about the time; but its metadata's leader says when it was last up to date: now."""
    admin = AIOKafkaAdminClient(**client_options(settings.kafka))
    try:
        await admin.start()
        began = time.time()
        answer: Any = await admin._send_request(_DescribeQuorum())
        middle = (began + time.time()) / 2
        for topic in answer.to_object()["topics"]:
            for partition in topic["partitions"]:
                for voter in partition["voters"]:
                    if voter["replica"] == partition["leader"] and voter["caught_up_ms"] > 0:
                        return voter["caught_up_ms"] / 1000 - middle
    except (KafkaError, OSError, NotImplementedError):
        pass  # the line about Kafka says so; or an older Kafka, which cannot be asked
    finally:
        await admin.close()
    return None


async def _redis(settings: Settings) -> float | None:
    url = settings.redis.url.get_secret_value()
    try:
        async with Redis.from_url(url, socket_connect_timeout=WITHIN_S, socket_timeout=WITHIN_S) as client:
            began = time.time()
            seconds, microseconds = await client.time()
            return seconds + microseconds / 1e6 - (began + time.time()) / 2
    except (RedisError, OSError, ValueError):
        return None


_VOTER = (("replica", Int32), ("end", Int64), ("fetched_ms", Int64), ("caught_up_ms", Int64), ("tags", TaggedFields))


class _Response(Response):
    API_KEY = 55  # pyright: ignore[reportAssignmentType]
    API_VERSION = 1  # pyright: ignore[reportAssignmentType]
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader", Int32),
                        ("epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", CompactArray(*_VOTER)),
                        ("observers", CompactArray(*_VOTER)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestV1(RequestStruct):
    API_KEY = 55
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeQuorum(Request[_RequestV1]):
    """KIP-836's; aiokafka has it not."""

    API_KEY = 55

    def build(self, request_struct_class: type[_RequestV1]) -> _RequestV1:
        return request_struct_class([(METADATA, [(0, {})], {})], {})
