"""The workers' consumer groups: does somebody run each role, and how much waits?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from vision_stream.checks.finding import Finding
from vision_stream.kafka_client import client_options
from vision_stream.settings import ROLES, Role, Settings
from vision_stream.topics import app_id

MANY = 1000  # messages behind: ten seconds of 50 cameras


class Group(NamedTuple):
    name: str
    roles: frozenset[Role]
    members: int
    behind: int  # messages


async def groups(settings: Settings) -> Finding:
    if not settings.enable_kafka_streaming:
        return Finding("groups", "unused", "not used (enable_kafka_streaming is false)")
    try:
        return judge(await _read(settings))
    except (KafkaError, OSError):
        return Finding("groups", "wrong", "not seen, as Kafka did not answer", "see kafka", 3)


def judge(found: list[Group]) -> Finding:
    """Pure: the finding about the groups that there are."""
    if not found:
        return Finding("groups", "note", "no worker has run on this Kafka yet", "`faust -A vision_stream worker`")
    run = {role for group in found if group.members for role in group.roles}
    text = "; ".join(f"{g.name}: {g.members} members, {g.behind} behind" for g in found if g.members or g.behind)
    idle = [role for role in ROLES if role not in run]
    if idle and any(group.behind for group in found if not group.members and group.roles & set(idle)):
        remedy = (
            "start a worker, or `scripts/start_streaming_services.sh`; what waits is kept as long as its topic keeps it"
        )
        return Finding("groups", "wrong", f"messages wait, and nobody runs {', '.join(idle)} ({text})", remedy, 1)
    if idle:
        return Finding("groups", "note", f"nobody runs {', '.join(idle)}", "`scripts/start_streaming_services.sh`")
    if any(group.behind > MANY for group in found if group.members):
        return Finding("groups", "note", text, "growing? Add workers or keys: docs/tuning.md")
    return Finding("groups", "ok", text)


async def _read(settings: Settings) -> list[Group]:
    async with _clients(settings) as (admin, consumer):
        there = {group[0] for group in await admin.list_consumer_groups()}
        return [
            Group(name, roles, await _members(admin, name), await _behind(admin, consumer, name))
            for name, roles in _ours(settings).items()
            if name in there
        ]


def _ours(settings: Settings) -> Mapping[str, frozenset[Role]]:
    """The groups that workers of this app form, by their roles."""
    chosen = [roles for count in range(len(ROLES), 0, -1) for roles in combinations(ROLES, count)]
    return {app_id(settings.model_copy(update={"stream_roles": roles})): frozenset(roles) for roles in chosen}


async def _members(admin: AIOKafkaAdminClient, name: str) -> int:
    answers: list[Any] = list(await admin.describe_consumer_groups([name]))
    return sum(len(group["members"]) for answer in answers for group in answer.to_object()["groups"])


async def _behind(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, name: str) -> int:
    committed = await admin.list_consumer_group_offsets(name)
    ends = await consumer.end_offsets(list(committed)) if committed else {}
    return sum(max(0, ends[place] - at.offset) for place, at in committed.items() if at.offset >= 0)


@asynccontextmanager
async def _clients(settings: Settings) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    options = client_options(settings.kafka)
    admin = AIOKafkaAdminClient(**options)
    consumer = AIOKafkaConsumer(**options, group_id=None)
    try:
        await admin.start()
        await consumer.start()
        yield admin, consumer
    finally:
        await consumer.stop()
        await admin.close()
