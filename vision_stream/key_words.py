"""An operator's word on an API key, or on tasks by their priority: onto the changelog of the table that all
schedulers share, past Faust.

Every worker follows that changelog, so the word is with all of them in milliseconds, and it outlives them.
"""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from vision_stream.errors import ConfigError
from vision_stream.kafka_client import client_options, unreachable
from vision_stream.llm.cooldowns import ALL_KEYS, SHED_ROW, Cooldown, operator_row
from vision_stream.messages import encode
from vision_stream.settings import KafkaSettings, Settings

TABLE = "key_cooldowns"
DISABLED = "disabled by an operator"
PAUSED = "paused by an operator, with all others"


async def say(settings: Settings, key_id: str, *, disabled: bool) -> tuple[str, ...]:
    """Disable a key until it is enabled again, or enable it whatever disabled it; returns the changelogs written.

    ``ALL_KEYS`` instead of an id: all of them, now and those to come; what is disabled on its own stays so.

    Raises:
        ConfigError: mode 1 runs without Kafka; no such key; no scheduler has ever run on this broker.
        DependencyError: Kafka does not answer.
    """
    _check(settings, key_id)
    reason = PAUSED if key_id == ALL_KEYS else DISABLED
    word = Cooldown(disabled=disabled, reason=reason if disabled else "", at=time.time())
    return await _write(settings.kafka, operator_row(key_id), word)


async def shed(settings: Settings, *, below: int) -> tuple[str, ...]:
    """Let tasks of a lower priority (0..100) end at once without a call, until another word; 0: call for all again.

    Raises: as ``say``.
    """
    if not settings.enable_kafka_streaming:
        raise ConfigError(
            "without Kafka there are no workers to tell (enable_kafka_streaming is false)",
            remedy="lower the load at its source: fps or enabled in config/cameras.yaml",
        )
    return await _write(settings.kafka, SHED_ROW, Cooldown(shed_below=below, at=time.time()))


async def _write(kafka: KafkaSettings, row: str, word: Cooldown) -> tuple[str, ...]:
    producer = AIOKafkaProducer(**client_options(kafka), acks="all", enable_idempotence=True)
    try:
        async with asyncio.timeout(kafka.connect_timeout_s):
            await producer.start()
            changelogs = _changelogs(await producer.client.fetch_all_metadata(), kafka.app_id)
            for changelog in changelogs:
                await producer.send_and_wait(changelog, encode(word), key=row.encode(), partition=0)
    except (KafkaError, OSError, TimeoutError) as error:
        raise unreachable(kafka, error) from error
    finally:
        await producer.stop()
    if not changelogs:
        raise ConfigError(
            f"no topic {kafka.app_id}-{TABLE}-changelog on this broker: no scheduler has run here",
            remedy="make it with vision-stream topics init, or check kafka.app_id",
        )
    return changelogs


def _check(settings: Settings, key_id: str) -> None:
    known = [key.id for key in settings.llm.keys]
    if key_id not in (*known, ALL_KEYS):
        raise ConfigError(f"no key {key_id}", remedy=f"one of config/api_keys.yaml: {', '.join(known) or 'none there'}")
    if not settings.enable_kafka_streaming:
        raise ConfigError(
            "without Kafka there are no workers to tell (enable_kafka_streaming is false)",
            remedy=f"set enabled of {_named(key_id)} in config/api_keys.yaml: a running process takes it over at once",
        )


def _named(key_id: str) -> str:
    return "each key" if key_id == ALL_KEYS else key_id


def _changelogs(cluster: object, app_id: str) -> tuple[str, ...]:
    """Of every group of workers: those with other roles have changelogs of their own."""
    topics: set[str] = cluster.topics()  # type: ignore[attr-defined]
    return tuple(sorted(name for name in topics if name.startswith(app_id) and name.endswith(f"-{TABLE}-changelog")))
