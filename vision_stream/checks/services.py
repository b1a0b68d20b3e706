"""Kafka, its topics and Redis: only where the chosen mode uses them. A wrong one means exit code 3."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka.errors import KafkaError
from redis import exceptions
from redis.asyncio import Redis

from vision_stream.checks.finding import WITHIN_S, Finding
from vision_stream.redaction import mask, redact_url
from vision_stream.settings import Settings
from vision_stream.topic_admin import Seen, hindrance, is_refusal, look, reason, refused
from vision_stream.topics import TopicSpec, specs


async def kafka(settings: Settings) -> Finding:
    servers = settings.kafka.bootstrap_servers
    if not settings.enable_kafka_streaming:
        return Finding("kafka", "unused", "not used (enable_kafka_streaming is false)")
    # Less than the check's own, so that the others still count.
    asked = (hindrance(server, settings.kafka, within_s=WITHIN_S * 0.9) for server in servers)
    found = await asyncio.gather(*asked)
    failures = {server: error for server, error in zip(servers, found, strict=True) if error is not None}
    where = ", ".join(servers)
    if any(map(is_refusal, failures.values())):
        error = refused(settings.kafka)
        return Finding("kafka", "wrong", error.what, error.remedy, error.exit_code)
    if len(failures) == len(servers):
        why = mask(reason(next(iter(failures.values()))))
        remedy = "start it (`vision-stream broker`), or set ALGO_KAFKA_BOOTSTRAP_SERVERS"
        if settings.kafka.security.uses_tls:
            remedy += "; if it runs, see kafka.security"
        return Finding("kafka", "wrong", f"Failed to connect to Kafka at {where}: {why}", remedy, 3)
    if failures:
        dead = ", ".join(failures)
        return Finding("kafka", "note", f"reachable, but not {dead}", "see why, or remove it from the list")
    return Finding("kafka", "ok", f"reachable at {where}")


async def topics(settings: Settings) -> Finding:
    if not settings.enable_kafka_streaming:
        return Finding("topics", "unused", "not used (enable_kafka_streaming is false)")
    wanted = specs(settings)
    try:
        seen = await look(wanted, settings.kafka)
    except (KafkaError, OSError):
        return Finding("topics", "wrong", "not seen, as Kafka did not answer", "see kafka", 3)
    differ = [f"{s.name} has {seen[s.name].partitions}, not {s.partitions}" for s in wanted if _differs(seen, s)]
    missing = [spec.name for spec in wanted if spec.name not in seen]
    if differ:
        remedy = "set the numbers that the topics have in config/kafka.yaml, or see `vision-stream topics init --help`"
        return Finding("topics", "wrong", f"wrong numbers of partitions: {'; '.join(differ)}", remedy, 2)
    if missing:
        remedy = "`vision-stream topics init`, or start a worker: it makes them"
        return Finding("topics", "note", f"{len(missing)} of {len(wanted)} not made yet: {', '.join(missing)}", remedy)
    return Finding("topics", "ok", f"all {len(wanted)}, with the right numbers of partitions")


def _differs(seen: Mapping[str, Seen], spec: TopicSpec) -> bool:
    return spec.name in seen and seen[spec.name].partitions != spec.partitions


async def redis(settings: Settings) -> Finding:
    if not settings.redis_enabled:
        return Finding("redis", "unused", "not used (in memory instead)")
    url = settings.redis.url.get_secret_value()
    shown = redact_url(url)
    try:
        client = Redis.from_url(url, socket_connect_timeout=WITHIN_S, socket_timeout=WITHIN_S)
    except ValueError:
        return Finding("redis", "wrong", f"{shown} is no Redis URL", "write redis://[:password@]host:port/number", 2)
    try:
        await client.ping()
    except (exceptions.AuthenticationError, exceptions.ResponseError):
        return Finding("redis", "wrong", f"{shown} refused the password", "correct it in ALGO_REDIS_URL", 3)
    except (exceptions.RedisError, OSError) as error:
        remedy = "start it, set ALGO_REDIS_URL, or do without: ALGO_ENABLE_REDIS=false"
        return Finding("redis", "wrong", mask(f"Failed to connect to Redis at {shown}: {error}"), remedy, 3)
    finally:
        await client.aclose()
    return Finding("redis", "ok", f"reachable at {shown}")
