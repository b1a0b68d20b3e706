"""Topics as they are on a broker, brought to what they should be. See ``topics``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from vision_stream.errors import ConfigError, DependencyError, VisionStreamError
from vision_stream.kafka_client import client_options, host_and_port, unreachable
from vision_stream.partition_counts import refusal
from vision_stream.settings import KafkaSettings
from vision_stream.topics import TopicSpec

EVERY_S = 0.1  # between two looks at a broker that is not there, or at topics that are coming up
ASK_WITHIN_S = 10.0  # one request
CONNECT_WITHIN_S = 5.0  # one connection, with its handshakes
OF_THE_TOPIC = 1  # Kafka's DYNAMIC_TOPIC_CONFIG: a value set on the topic itself

Change = Literal["created", "raised", "updated", "unchanged"]


class Ensured(NamedTuple):
    """What was done about a topic."""

    spec: TopicSpec
    change: Change


class Seen(NamedTuple):
    """A topic as one broker knows it."""

    partitions: int
    led: int  # partitions with a leader


async def ensure_topics(
    specs: Sequence[TopicSpec],
    kafka: KafkaSettings,
    wait_s: float,
    *,
    raise_partitions: bool = False,
    update: bool = False,
) -> tuple[Ensured, ...]:
    """See ``topics.ensure``."""
    deadline = time.monotonic() + wait_s
    await _reachable(kafka, wait_s, deadline)
    changes: dict[str, Change] = {}
    while True:
        try:
            async with asyncio.timeout(max(1.0, deadline - time.monotonic())), _admin(kafka) as admin:
                await _bring_about(admin, specs, changes, may_raise=raise_partitions)
                if update:
                    await _update(admin, specs, changes)
                return tuple(Ensured(spec, changes.get(spec.name, "unchanged")) for spec in specs)
        except (KafkaError, OSError, TimeoutError) as error:
            if time.monotonic() >= deadline:
                raise DependencyError(
                    f"Kafka at {', '.join(kafka.bootstrap_servers)} did not bring up the topics within {wait_s:g} s: "
                    f"{str(error) or type(error).__name__}",
                    remedy="look at the broker's log; a topic that is being deleted takes a while to go",
                    error_id="VS-103",
                ) from error
            await asyncio.sleep(EVERY_S)


async def look(specs: Sequence[TopicSpec], kafka: KafkaSettings) -> dict[str, Seen]:
    """Those of the topics that are there, as one broker knows them; makes nothing, and the caller bounds the wait."""
    async with _admin(kafka) as admin:
        broker = (await admin.describe_cluster())["brokers"][0]["node_id"]
        return await _view(admin, broker, specs)


async def settings_of(names: Sequence[str], kafka: KafkaSettings) -> dict[str, dict[str, str]]:
    """Kafka's settings of topics that are there, by topic; the caller bounds the wait."""
    async with _admin(kafka) as admin:
        return {name: _values(entries) for name, entries in (await _described(admin, names)).items()}


async def _reachable(kafka: KafkaSettings, wait_s: float, deadline: float) -> None:
    # Asked connection by connection: aiokafka's clients log an error for every try, and keep its reason to themselves.
    while failures := await _failures(kafka):
        for error in failures:
            if is_refusal(error):
                raise refused(kafka) from error
        if time.monotonic() >= deadline:
            raise unreachable(kafka, reason(failures[0]), within_s=wait_s) from failures[0]
        await asyncio.sleep(min(EVERY_S, max(0.0, deadline - time.monotonic())))


async def _failures(kafka: KafkaSettings) -> list[Exception]:
    """Why no server lets us in; empty as soon as one does."""
    found = []
    for server in kafka.bootstrap_servers:
        failure = await hindrance(server, kafka, within_s=CONNECT_WITHIN_S)
        if failure is None:
            return []
        found.append(failure)
    return found


async def hindrance(server: str, kafka: KafkaSettings, *, within_s: float) -> Exception | None:
    """Why one server does not let us in, as this user and over TLS where it shall be; None: it does.

    Raises:
        ConfigError: see ``client_options``.
    """
    host, port = host_and_port(server)
    options = client_options(kafka)
    del options["bootstrap_servers"]
    try:
        async with asyncio.timeout(within_s):
            connection = await create_conn(host, port, **options, request_timeout_ms=int(within_s * 1000))
    except (KafkaError, OSError, TimeoutError) as error:
        return error
    connection.close()
    return None


def is_refusal(error: Exception) -> bool:
    """Of the user or the password."""
    return isinstance(error, AuthenticationFailedError | SaslAuthenticationFailed)


def refused(kafka: KafkaSettings) -> DependencyError:
    """The error where a server's ``hindrance`` is one."""
    servers = ", ".join(kafka.bootstrap_servers)
    return DependencyError(
        f"Kafka at {servers} refused the user or the password",
        remedy="correct kafka.security (config/kafka.yaml, or ALGO_KAFKA_SECURITY_...)",
        error_id="VS-102",
    )


def reason(error: Exception) -> str:
    """Of what ``hindrance`` found, for the operator; Kafka's errors hold no password."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return str(cause) or type(cause).__name__


@asynccontextmanager
async def _admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=int(ASK_WITHIN_S * 1000))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _bring_about(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], changes: dict[str, Change], *, may_raise: bool
) -> None:
    """Return when every broker knows every partition and its leader; the caller bounds the wait.

    Looks, does what is missing, and looks again, because brokers learn of a topic one after the other, and another
    worker may be at the same.
    """
    brokers = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
    while True:
        views = [await _view(admin, broker, specs) for broker in brokers]
        for view in views:
            _refuse(specs, view, may_raise=may_raise)
        missing = [spec for spec in specs if any(spec.name not in view for view in views)]
        few = [spec for spec in specs if any(_partitions(view, spec) < spec.partitions for view in views)]
        await _create(admin, [spec for spec in missing if spec.name not in changes], changes)
        await _raise(admin, [spec for spec in few if spec.name not in changes], changes)
        if not missing and not few and all(view[s.name].led == s.partitions for view in views for s in specs):
            return
        await asyncio.sleep(EVERY_S)


async def _view(admin: AIOKafkaAdminClient, broker: int, specs: Sequence[TopicSpec]) -> dict[str, Seen]:
    # aiokafka's public `describe_topics` asks a random broker, and has topics made by asking; this asks a given one.
    request = MetadataRequest([spec.name for spec in specs], allow_auto_topic_creation=False)
    answer: dict[str, Any] = (await admin._send_request(request, broker)).to_object()
    return {
        topic["topic"]: Seen(len(topic["partitions"]), sum(p["leader"] >= 0 for p in topic["partitions"]))
        for topic in answer["topics"]
        if topic["partitions"]
    }


def _partitions(view: Mapping[str, Seen], spec: TopicSpec) -> int:
    return view[spec.name].partitions if spec.name in view else spec.partitions


def _refuse(specs: Sequence[TopicSpec], view: Mapping[str, Seen], *, may_raise: bool) -> None:
    """Raises ConfigError, naming every topic whose number of partitions cannot be made right."""
    counts = {name: seen.partitions for name, seen in view.items()}
    if (error := refusal(specs, counts, may_raise=may_raise)) is not None:
        raise error


async def _raise(admin: AIOKafkaAdminClient, few: Sequence[TopicSpec], changes: dict[str, Change]) -> None:
    if few:
        await admin.create_partitions({spec.name: NewPartitions(spec.partitions) for spec in few})
        changes.update({spec.name: "raised" for spec in few})


async def _create(admin: AIOKafkaAdminClient, missing: Sequence[TopicSpec], changes: dict[str, Change]) -> None:
    if not missing:
        return
    answer: Any = await admin.create_topics(
        [NewTopic(s.name, s.partitions, s.replication_factor, topic_configs=dict(s.config)) for s in missing]
    )
    for name, code, *said in answer.topic_errors:
        error = for_code(code)
        if error is NoError:
            changes[name] = "created"
        elif error is not TopicAlreadyExistsError:  # that: another worker was quicker
            raise _create_error(name, error, str(said[0] if said else ""))


def _create_error(name: str, error: type[Exception], said: str) -> Exception:
    if error is InvalidReplicationFactorError:
        return ConfigError(
            f"topic {name!r} wants more copies than there are brokers: {said}",
            remedy="set replication_factor in config/kafka.yaml to at most the number of brokers",
            error_id="VS-105",
        )
    if getattr(error, "retriable", False):
        return error(f"{name}: {said}")
    return VisionStreamError(f"Kafka did not make the topic {name!r}: {error.__name__}: {said}")


async def _update(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], changes: dict[str, Change]) -> None:
    """Set the wanted values where a topic has others."""
    values = await _described(admin, [spec.name for spec in specs])
    changed = [spec for spec in specs if not spec.config.items() <= _values(values[spec.name]).items()]
    if not changed:
        return
    altered: list[Any] = list(await admin.alter_configs([_altered(spec, values[spec.name]) for spec in changed]))
    for code, said, _, name in (resource for answer in altered for resource in answer.resources):
        if for_code(code) is not NoError:
            raise VisionStreamError(f"Kafka did not change the settings of the topic {name!r}: {said}")
        changes.setdefault(name, "updated")


async def _described(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Sequence[Sequence[Any]]]:
    answers: list[Any] = list(
        await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    )
    return {name: entries for answer in answers for (*_, name, entries) in answer.resources}


def _altered(spec: TopicSpec, entries: Sequence[Sequence[Any]]) -> ConfigResource:
    # AlterConfigs replaces all that is set on the topic, so what an operator set beside ours goes with it.
    own = {name: value for name, value, _, source, *_ in entries if source == OF_THE_TOPIC}
    return ConfigResource(ConfigResourceType.TOPIC, spec.name, configs=own | dict(spec.config))


def _values(entries: Sequence[Sequence[Any]]) -> dict[str, str]:
    return {entry[0]: entry[1] for entry in entries}
