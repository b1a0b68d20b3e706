"""One worker's life in a group: joins, is told its share, and stops when it is told that it is out.

broker away     the worker goes on with what it watches: nobody can have been given its cameras meanwhile, or
                all others have Kafka and it has not, which it cannot tell
Kafka says out  it was silent for longer than ``kafka.session_timeout_s`` (frozen, or cut off), and others have
                its cameras. It asks to be let in again, and watches nothing if that is not done soon
rebalance       the worker goes on until it is told its new share, and then changes only what differs
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, KafkaError

from vision_stream.kafka_client import client_options
from vision_stream.kafka_consumers import stop
from vision_stream.settings import KafkaSettings
from workers.capture.group.protocol import Assignor, Share
from workers.capture.group.shares import Claim
from workers.capture.pacing import backoff_s

BEAT_S = 1.0  # between two signs of life to the broker, by whose answers a member also learns of a rebalance
POLL_MS = 1000  # how often it is looked whether the group is all right
FENCE_S = 3.0  # out of the group and not in again: stop. A rejoin takes as long as the slowest beat, if nobody hangs
START_WITHIN_S = 10.0
LEAVE_WITHIN_S = 1.0  # of the 5 s that a process has to end in
DIFFERENT_S = 120.0  # in which all have the same cameras.yaml. A ConfigMap takes a minute or two to reach all nodes

_log = structlog.get_logger(__name__)


def group_id(kafka: KafkaSettings, name: str) -> str:
    """Of the consumer group in Kafka.

    >>> group_id(KafkaSettings(), "yard")
    'vision-stream-capture-yard'
    """
    return f"{kafka.app_id}-capture-{name}"


class Membership:
    """``told`` is called with the ids of the cameras that this worker is to watch, whenever they may be others."""

    def __init__(
        self,
        kafka: KafkaSettings,
        name: str,
        told: Callable[[frozenset[str]], None],
        *,
        fence_s: float = FENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kafka = kafka
        self._group = group_id(kafka, name)
        self._told = told
        self._fence_s = fence_s
        self._clock = clock
        self._assignor = Assignor(self._look, self._given)
        self._consumer: AIOKafkaConsumer | None = None
        self._fence: asyncio.TimerHandle | None = None
        self._leaders = ""  # the fingerprint of the leader's configuration
        self._differs_since: float | None = None
        self._lost = False
        self.member = False

    def watch(self, cameras: Iterable[str], configured: str) -> None:
        """What the group should watch, as this worker knows it. The group does what its leader knows.

        Args:
            configured: see ``protocol.fingerprint``.
        """
        wanted = tuple(sorted(set(cameras)))
        if (wanted, configured) == (self._assignor.cameras, self._assignor.configured):
            return
        self._assignor.cameras, self._assignor.configured = wanted, configured
        if self._assignor.leads and self._consumer is not None:
            self._join(self._consumer)

    async def run(self) -> None:
        """Be a member until cancelled, and then leave the group, which hands the cameras over at once."""
        attempt = 0
        while True:
            try:
                await self._be_a_member()
            except Exception as error:  # also what aiokafka does not foresee: a worker outside of its group is no use
                attempt = 0 if self.member else attempt + 1
                self._fail(error)
            await asyncio.sleep(backoff_s(attempt, random.random(), max_s=5.0))

    async def _be_a_member(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._kafka),
            client_id="vision-stream-capture",
            group_id=self._group,
            enable_auto_commit=False,
            session_timeout_ms=int(self._kafka.session_timeout_s * 1000),
            heartbeat_interval_ms=int(min(BEAT_S, self._kafka.session_timeout_s / 3) * 1000),
            request_timeout_ms=int((self._kafka.session_timeout_s + 5) * 1000),  # above a join, which waits for others
            partition_assignment_strategy=(self._assignor,),
        )
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await consumer.start()
            self._consumer = consumer
            self._join(consumer)
            while True:
                await consumer.getmany(timeout_ms=POLL_MS)  # raises what went wrong in the group; there is no message
                self._look()
                self._compare_configurations()
        finally:
            self._consumer = None
            await stop(consumer, within_s=LEAVE_WITHIN_S)

    def _join(self, consumer: AIOKafkaConsumer) -> None:
        """Also again: subscribing is the one public way to ask for a rebalance, and only the leader needs one."""
        consumer.subscribe([self._kafka.topics.camera_commands.name])

    def _look(self) -> None:
        """Has Kafka thrown this member out? Each second, and before each try to join, which would hide it."""
        coordinator: Any = self._consumer._coordinator if self._consumer is not None else None
        if coordinator is not None and coordinator.generation < 0:  # there is no public way to learn that
            self._out("Kafka has given its cameras to others, as it was silent")

    def _given(self, share: Share) -> None:
        if self._fence is not None:
            self._fence.cancel()
            self._fence = None
        self.member = True
        self._lost = False
        self._leaders = share.configured
        _log.info("share of the group", group=self._group, cameras=len(share.claim.cameras), members=share.members)
        self._told(frozenset(share.claim.cameras))

    def _fail(self, error: Exception) -> None:
        if not self._lost:
            _log.error("the capture group is lost, trying again", group=self._group, error=_text(error))
        self._lost = True
        if not isinstance(error, KafkaConnectionError | OSError):
            self._out("the group was left, as it failed")

    def _out(self, why: str) -> None:
        self.member = False
        if self._fence is None and self._assignor.claim.cameras:
            _log.warning("out of the capture group, joining again", group=self._group, why=why)
            self._fence = asyncio.get_running_loop().call_later(self._fence_s, self._stop_watching)

    def _stop_watching(self) -> None:
        _log.error("not in the capture group again; its cameras are not watched here until it is", group=self._group)
        self._fence = None
        self._assignor.claim = Claim()
        self._told(frozenset())

    def _compare_configurations(self) -> None:
        if not self.member or self._leaders == self._assignor.configured:
            self._differs_since = None
            return
        now = self._clock()
        if self._differs_since is None:
            self._differs_since = now
        elif now - self._differs_since >= DIFFERENT_S:
            self._differs_since = now + 3600 - DIFFERENT_S  # again in an hour
            _log.warning(
                "this worker's config/cameras.yaml is not that of the worker that leads the group; "
                "only cameras that both know are watched here",
                group=self._group,
            )


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, KafkaError | OSError) else repr(error)
