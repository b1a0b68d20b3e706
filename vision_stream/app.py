"""The Faust app: its settings, its cured parts, and what its agents share.

``create(settings)`` makes one; ``app``, made from the environment on first use, is the one that
``faust -A vision_stream worker`` runs and that ``agents`` and ``tables`` declare themselves on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import faust
from faust.types import TP
from yarl import URL

from vision_stream import topics, tracing
from vision_stream.config import load
from vision_stream.delivery.changelog import GlobalTable, Table
from vision_stream.delivery.consumer import Consumer
from vision_stream.delivery.flow import Flow
from vision_stream.delivery.offsets import OffsetLedger
from vision_stream.delivery.ownership import FencedTables
from vision_stream.delivery.produce import Outbox, Producer
from vision_stream.delivery.stage import Stage
from vision_stream.errors import VisionStreamError
from vision_stream.kafka_client import client_options
from vision_stream.settings import KafkaSettings, Settings, TopicsSettings
from vision_stream.stores.open import Stores, open_stores
from vision_stream.worker import Worker, check_modules

T = TypeVar("T")
FLUSH_S = 2.0  # at the end, with the broker away; what was not delivered was not acked either
MAX_MESSAGE_BYTES = 4 * topics.MIB  # as `topics` lets a dead letter be: base64 and an envelope around 1 MiB


class App(faust.App):
    """A Faust app whose delivery loses nothing. What agents share hangs on it, so that a test can have its own."""

    mundane_level = "debug"  # of "Starting..." and the like

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger: OffsetLedger[TP] = OffsetLedger()
        self.stages: dict[str, Stage] = {}
        self.reports: dict[str, Callable[[], Any]] = {}  # what else the stats page shows
        self.shutdown_s = settings.kafka.shutdown_s
        self.waits: list[Callable[[], None]] = []  # called at the worker's end: break off what has only waited so far
        self._flow = Flow()
        self._resources: list[Resource[Any]] = []
        self._opened = AsyncExitStack()
        self.stores = self.resource(lambda: _stores(settings))  # one link to Redis for all agents of a worker
        super().__init__(topics.app_id(settings), **_options(settings))
        self.dead_letters = self.outbox("dead_letters")

    # What agents and tables are made of

    def input(self, name: str) -> faust.TopicT:
        """A topic of ours as raw bytes: Faust acks what it cannot decode, at once and out of order."""
        return self.topic(self._topic_name(name), key_type=bytes, value_type=bytes, internal=False)

    def outbox(self, name: str) -> Outbox:
        return Outbox(self, self._topic_name(name))

    def _topic_name(self, name: str) -> str:
        assert name in TopicsSettings.model_fields, name
        return getattr(self.settings.kafka.topics, name).name

    def owns(self, name: str, camera_id: str) -> bool:
        """Is the camera's partition of the topic this worker's?"""
        topic = self._topic_name(name)
        partition = self.consumer.key_partition(topic, camera_id.encode())
        return partition is not None and TP(topic, partition) in self.ledger

    def resource(self, open_: Callable[[], AbstractAsyncContextManager[T]]) -> Resource[T]:
        """Decorate an async context manager: entered before the first message comes, left after the last is done."""
        resource = Resource(open_)
        self._resources.append(resource)
        return resource

    def stage(self, name: str, *, in_flight: int, span: int) -> Stage:
        """The stage of a handler: the same one for each actor that Faust starts."""
        if name not in self.stages:
            self.stages[name] = Stage(self, name, in_flight, span, group=str(self.conf.id))
        return self.stages[name]

    # What the consumer asks of the stages

    async def settle(self, within_s: float) -> None:
        """Let the running work end, and break off what takes longer."""
        await asyncio.gather(*(stage.settle(within_s) for stage in self.stages.values()))

    def hand_back(self) -> None:
        """The worker ends: take nothing more, and leave what has not begun yet to the next one."""
        for stage in self.stages.values():
            stage.closed = True
        for break_off in self.waits:
            break_off()

    def forget(self) -> None:
        for stage in self.stages.values():
            stage.forget()

    def idle(self, topic: str) -> bool:
        """Do the stages of ``topic`` wait for a message?"""
        return all(stage.waiting for stage in self.stages.values() if topic in stage.topics)

    # Faust's parts, cured

    @property
    def flow_control(self) -> Flow:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._flow

    def _new_transport(self) -> Any:
        transport: Any = super()._new_transport()
        transport.Consumer, transport.Producer = Consumer, Producer
        return transport

    _new_producer_transport = _new_transport

    async def on_start(self) -> None:
        await super().on_start()
        for resource in self._resources:
            await resource.enter(self._opened)

    async def on_stop(self) -> None:
        await super().on_stop()
        await self._opened.aclose()
        await tracing.stop()

    async def _producer_flush(self, logger: Any) -> None:
        try:
            await asyncio.wait_for(super()._producer_flush(logger), FLUSH_S)
        except TimeoutError:
            self.log.warning("not all that was sent is delivered; what led to it comes again")


class Resource(Generic[T]):
    """Something that agents use and that has to be opened and closed."""

    def __init__(self, open_: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_
        self._value: T | None = None

    async def enter(self, stack: AsyncExitStack) -> None:
        self._value = await stack.enter_async_context(self._open())

    def get(self) -> T:
        assert self._value is not None, "the app has not started"
        return self._value


@asynccontextmanager
async def _stores(settings: Settings) -> AsyncIterator[Stores]:
    opened = open_stores(settings)
    try:
        yield opened
    finally:
        await opened.close()


def _options(settings: Settings) -> dict[str, Any]:
    kafka = settings.kafka
    return {
        "broker": [URL(f"kafka://{server}") for server in kafka.bootstrap_servers],
        "broker_credentials": _credentials(kafka),
        "store": "memory://",
        "datadir": Path(settings.data_dir) / "faust",
        "autodiscover": lambda: [f"agents.{role}" for role in settings.stream_roles],
        "Worker": Worker,
        "Table": Table,
        "GlobalTable": GlobalTable,
        "TableManager": FencedTables,
        "key_serializer": "raw",
        "value_serializer": "raw",
        # The silence after a SIGKILL is the session timeout: 62.8 s at Faust's own 60, 5.9 s at 6.
        "broker_session_timeout": kafka.session_timeout_s,
        # The answer to a heartbeat is how a worker hears that others come or leave: until then the group waits for it.
        "broker_heartbeat_interval": kafka.session_timeout_s / 12,
        "broker_commit_interval": 1.0,
        "broker_max_poll_records": 500,  # at or under a fifth of the next, or one slow agent starves the others
        "stream_buffer_maxsize": 4096,
        "stream_wait_empty": True,  # bounded by the consumer
        "consumer_auto_offset_reset": "earliest",
        "producer_linger": 0,
        "producer_acks": -1,
        "producer_max_request_size": MAX_MESSAGE_BYTES,
        "producer_request_timeout": 300.0,  # a broker that comes back within it gets what was sent meanwhile
        "topic_partitions": kafka.topics.detection_results.partitions,
        "topic_replication_factor": kafka.replication_factor,
        "topic_allow_declare": False,  # `topics.ensure` has made them all
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "web_bind": "127.0.0.1",
        "web_tables_enabled": False,
        "web_router_enabled": False,
        "worker_redirect_stdouts": False,
    }


def _credentials(kafka: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    options = client_options(kafka)
    context = options["ssl_context"]
    if kafka.security.uses_sasl:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def create(settings: Settings) -> App:
    """An app with its pages.

    Raises:
        ConfigError: topics that meet differ in their number of partitions.
    """
    topics.specs(settings)
    made = App(settings)
    from vision_stream import stats_page  # declares its page on an app

    stats_page.add_to(made)
    return made


def _from_environment() -> App:
    try:
        check_modules(Path(__file__).parent.parent)
        return create(load())
    except VisionStreamError as error:  # Faust's command line imports us: nothing above could print it
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if TYPE_CHECKING:
    app: App


def __getattr__(name: str) -> Any:
    if name == "app":
        globals()["app"] = made = _from_environment()
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
