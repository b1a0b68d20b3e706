"""The topics: which there are, with how many partitions, and how long they keep what.

They are made, changelogs included, before anything subscribes: Faust never reads a topic that comes into being while
its consumer subscribes. ``specs`` says what should be; ``ensure`` makes it so (see ``topic_admin``).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from vision_stream.settings import ROLES, Role, Settings, TopicSettings

if TYPE_CHECKING:
    from vision_stream.topic_admin import Ensured

TABLES: dict[Role, str] = {
    "task_generator": "camera_state",
    "llm_scheduler": "key_cooldowns",
    "result_aggregator": "pending_assessments",
}
GLOBAL_TABLES = frozenset({"key_cooldowns"})  # every worker reads all of it: one partition is enough

MIB = 1 << 20
MINUTE_MS = 60_000


class TopicSpec(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]  # Kafka's names and spellings
    said_in: str  # where its number of partitions is set, for a message


def app_id(settings: Settings) -> str:
    """Faust's app id: consumer group and prefix of the changelogs of a worker with these roles.

    Workers of different roles are different groups: a group's members are handed all topics of all its members.

    >>> app_id(Settings())
    'vision-stream'
    >>> app_id(Settings(stream_roles=("llm_scheduler",)))
    'vision-stream-llm_scheduler'
    """
    roles = [role for role in ROLES if role in settings.stream_roles]
    if len(roles) == len(ROLES):
        return settings.kafka.app_id
    return f"{settings.kafka.app_id}-{'.'.join(roles)}"


def changelog(settings: Settings, table: str) -> str:
    """Name of a table's changelog topic, as Faust makes it.

    >>> changelog(Settings(), "camera_state")
    'vision-stream-camera_state-changelog'
    """
    return f"{app_id(settings)}-{table}-changelog"


def changelogs(settings: Settings) -> tuple[TopicSpec, ...]:
    """Changelog topics of the tables that a worker with these roles owns.

    ``Settings`` sees to it that the topics that meet in a table have one number of partitions, which is also its own.
    """
    return tuple(
        TopicSpec(
            name=changelog(settings, table),
            partitions=1 if table in GLOBAL_TABLES else settings.kafka.topics.detection_results.partitions,
            replication_factor=settings.kafka.replication_factor,
            config=_compacted() | _in_sync(settings),
            said_in="a table has as many partitions as the topics that its agent reads",
        )
        for role, table in TABLES.items()
        if role in settings.stream_roles
    )


def changelogs_of_others(settings: Settings) -> tuple[TopicSpec, ...]:
    """Changelog topics of workers with other roles, against the same Kafka."""
    chosen = (roles for count in range(1, len(ROLES) + 1) for roles in combinations(ROLES, count))
    found = {
        spec.name: spec for roles in chosen for spec in changelogs(settings.model_copy(update={"stream_roles": roles}))
    }
    return tuple(spec for name, spec in found.items() if name not in {spec.name for spec in changelogs(settings)})


def specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """All topics that a worker with these settings needs."""
    topics = settings.kafka.topics
    clients = tuple(_client_topic(settings, field, getattr(topics, field)) for field in type(topics).model_fields)
    return clients + changelogs(settings)


async def ensure(
    settings: Settings, wait_s: float | None = None, *, raise_partitions: bool = False, update: bool = False
) -> tuple[Ensured, ...]:
    """Make what is missing of ``specs`` and wait until every broker knows a leader of every partition.

    Args:
        wait_s: for the broker and the topics together; None: ``kafka.connect_timeout_s``.
        raise_partitions: add partitions where a topic has fewer than wanted, also to the changelogs of workers with
            other roles; moves cameras to other partitions.
        update: also bring retention and clean-up of topics that exist to what is wanted.
    Raises:
        ConfigError: a topic has another number of partitions than wanted, or fewer brokers are there than copies.
        DependencyError: no broker answered, or the topics did not come up, within ``wait_s`` seconds.
    """
    from vision_stream.topic_admin import ensure_topics, look  # imports aiokafka: 0.2 s

    wait = settings.kafka.connect_timeout_s if wait_s is None else wait_s
    done = await ensure_topics(specs(settings), settings.kafka, wait, raise_partitions=raise_partitions, update=update)
    if not raise_partitions:
        return done
    others = changelogs_of_others(settings)
    there = await look(others, settings.kafka)
    left = tuple(spec for spec in others if spec.name in there)
    return done + await ensure_topics(left, settings.kafka, wait, raise_partitions=True)


def _client_topic(settings: Settings, field: str, topic: TopicSettings) -> TopicSpec:
    config = {"cleanup.policy": "delete", **_kept_for(topic.retention_s)}
    if field == "camera_status":
        config["cleanup.policy"] = "compact,delete"  # the last state of a camera, until the camera is long gone
    if field == "camera_commands":
        config["cleanup.policy"] = "compact"  # a camera stays stopped until somebody says otherwise
        config["delete.retention.ms"] = config["retention.ms"]  # for who reads on while one is taken back
    if field == "dead_letters":
        config["max.message.bytes"] = str(4 * MIB)  # base64 and an envelope around a message of up to 1 MiB
    return TopicSpec(
        name=topic.name,
        partitions=topic.partitions,
        replication_factor=settings.kafka.replication_factor,
        config=config | _in_sync(settings),
        said_in=f"config/kafka.yaml: topics.{field}.partitions",
    )


def _kept_for(retention_s: int) -> dict[str, str]:
    # Kafka deletes whole closed segments, and closes one after a week: without this an hour's retention keeps a week.
    segment_ms = max(MINUTE_MS, min(retention_s * 1000 // 4, 24 * 60 * MINUTE_MS))
    return {"retention.ms": str(retention_s * 1000), "segment.ms": str(segment_ms)}


def _compacted() -> dict[str, str]:
    # A worker reads its changelogs when it starts: at 100 states a second an hour of history is a gigabyte to read.
    return {
        "cleanup.policy": "compact",
        "segment.ms": str(10 * MINUTE_MS),
        "segment.bytes": str(64 * MIB),
        "min.cleanable.dirty.ratio": "0.2",
        "min.compaction.lag.ms": str(10 * MINUTE_MS),  # a former owner's late row must not outlive the right one
        "max.message.bytes": str(4 * MIB),  # a camera of many waiting requests
        "delete.retention.ms": str(60 * MINUTE_MS),  # deleted rows stay visible this long: longer than a recovery takes
    }


def copies_in_sync(settings: Settings) -> int:
    """Replicas that have to be in sync, or brokers refuse writes. Of three copies, one broker may be away."""
    return 2 if settings.kafka.replication_factor >= 3 else 1


def _in_sync(settings: Settings) -> dict[str, str]:
    return {"min.insync.replicas": str(copies_in_sync(settings))}
