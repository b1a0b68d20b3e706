"""Detections and camera states to Kafka: delivery confirmed, and a bounded buffer while the broker is away.

A message is in the buffer, then in flight, until Kafka has confirmed it. Where a connection is given up, what was in
flight goes back to the front of the buffer, so that a message may arrive twice (its id says so) but none is lost
unless the buffer is full. Then the oldest goes, because the newest says more about a street.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.structs import RecordMetadata

from vision_stream import camera_metrics, tracing
from vision_stream.background import Background
from vision_stream.kafka_client import client_options
from vision_stream.kafka_producers import dispose
from vision_stream.messages import CameraStatus, Detection, encode
from vision_stream.settings import KafkaSettings
from workers.capture.pacing import backoff_s

if TYPE_CHECKING:
    from vision_stream.tracing.spans import Sending

_log = structlog.get_logger(__name__)

HEADERS = [("content-type", b"application/json")]
BUFFERED = 2000  # messages: of 10 cameras at 2 frames a second, the last 100 s
BUFFERED_BYTES = 64 * 2**20  # pictures may travel inline
IN_FLIGHT = 256  # unconfirmed messages. More would only wait inside the client, where they cannot be dropped
SILENCE_S = 2.0  # without a confirmation while something is in flight: the broker is away
DISPOSE_WITHIN_S = 2.0
REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError)  # of this message alone; sending it again would not help


@dataclass(frozen=True)
class _Message:
    topic: str
    key: bytes
    value: bytes
    camera_id: str
    captured_at: float | None  # None: a state, not a detection
    span: Sending | None = None  # ends with the message: confirmed, or dropped

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        return HEADERS if self.span is None else [*HEADERS, *self.span.headers]


class KafkaSink:
    """Started before the broker or after it; ``detection`` never waits for Kafka."""

    counts_deliveries = True

    def __init__(
        self, settings: KafkaSettings, *, buffered: int = BUFFERED, buffered_bytes: int = BUFFERED_BYTES
    ) -> None:
        self.confirmed = 0  # detections
        self.dropped = 0  # messages
        self._settings = settings
        self._most = buffered
        self._most_bytes = buffered_bytes
        self._buffer: deque[_Message] = deque()
        self._bytes = 0  # of the buffer
        self._unconfirmed: dict[int, tuple[_Message, float]] = {}  # by number: and when it was sent
        self._numbers = itertools.count()
        self._failure: BaseException | None = None  # of a message in flight: the connection is given up
        self._woken = asyncio.Event()
        self._all_sent = asyncio.Event()  # and confirmed
        self._all_sent.set()
        self._away = False
        self._attempt = 0  # to connect, since there was a connection
        self._background = Background()

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._background.spawn(self._keep_sending(), name="kafka sink")
        self._background.spawn(self._watch(), name="kafka sink watch")

    async def close(self, *, within_s: float = 3.0) -> None:
        """Send what is left, for at most ``within_s`` seconds; what then is not confirmed is counted as dropped."""
        await self.flush(within_s=within_s)
        await self._background.close(within_s=3.0)
        if self._buffer:  # what was in flight is there too, since the connection was given up
            self._count_dropped("not delivered at the end", *self._buffer)
            _log.warning("ended with messages that Kafka did not confirm", messages=len(self._buffer))

    async def flush(self, *, within_s: float) -> None:
        """Wait until Kafka has confirmed all, for at most ``within_s`` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_sent.wait(), within_s)

    async def detection(self, detection: Detection, /) -> None:
        topic = self._settings.topics.detection_results.name
        span = tracing.sending(topic, detection.camera_id.encode())
        self._offer(topic, detection.camera_id, encode(detection), detection.times.captured_at, span)

    async def status(self, status: CameraStatus, /) -> None:
        self._offer(self._settings.topics.camera_status.name, status.camera_id, encode(status), None)

    def _offer(
        self, topic: str, camera_id: str, value: bytes, captured_at: float | None, span: Sending | None = None
    ) -> None:
        self._buffer.append(_Message(topic, camera_id.encode(), value, camera_id, captured_at, span))
        self._bytes += len(value)
        self._all_sent.clear()
        self._make_room()
        self._woken.set()

    def _make_room(self) -> None:
        while len(self._buffer) > self._most or (self._bytes > self._most_bytes and len(self._buffer) > 1):
            self._count_dropped("broker away", self._take())

    def _take(self) -> _Message:
        message = self._buffer.popleft()
        self._bytes -= len(message.value)
        return message

    def _count_dropped(self, reason: str, *messages: _Message) -> None:
        self.dropped += len(messages)
        for message in messages:
            counts = camera_metrics.of(message.camera_id)
            if counts is not None:
                counts.skipped(reason)
            if message.span is not None:
                message.span.failed(reason)

    async def _keep_sending(self) -> None:
        """Connect, send until the connection is of no use, and again; for ever."""
        while True:
            try:
                await self._connect_and_send()
            except Exception as error:  # also what aiokafka does not foresee: nobody else would send
                self._lost(f"{type(error).__name__}: {error}")
            await asyncio.sleep(backoff_s(self._attempt, random.random(), max_s=5.0))
            self._attempt += 1

    async def _connect_and_send(self) -> None:
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            client_id="vision-stream-capture",
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=10_000,
            retry_backoff_ms=200,
        )
        try:
            await producer.start()
            self._attempt = 0
            await self._send_all(producer)
        finally:
            await dispose(producer, within_s=DISPOSE_WITHIN_S)
            self._take_back()

    async def _send_all(self, producer: AIOKafkaProducer) -> None:
        while True:
            while not self._buffer or len(self._unconfirmed) >= IN_FLIGHT:
                self._woken.clear()
                await self._woken.wait()
                if self._failure is not None:
                    raise self._failure
            message, number = self._take(), next(self._numbers)
            self._unconfirmed[number] = (message, time.monotonic())  # before the send: it may be cancelled
            try:
                sent = await producer.send(message.topic, message.value, key=message.key, headers=message.headers)
            except REFUSED as error:
                self._refused(number, error)
            else:
                sent.add_done_callback(partial(self._settled, number))

    def _settled(self, number: int, sent: asyncio.Future[Any]) -> None:
        if sent.cancelled() or number not in self._unconfirmed:
            return
        error = sent.exception()
        if error is None:
            self._delivered(self._done_with(number), sent.result())
        elif isinstance(error, REFUSED):
            self._refused(number, error)
        else:
            self._failure = error
        self._woken.set()

    def _done_with(self, number: int) -> _Message:
        message, _ = self._unconfirmed.pop(number)
        if not self._unconfirmed and not self._buffer:
            self._all_sent.set()
        return message

    def _delivered(self, message: _Message, where: RecordMetadata) -> None:
        if message.span is not None:
            message.span.delivered(where.partition, where.offset)
        if message.captured_at is not None:
            self.confirmed += 1
            counts = camera_metrics.of(message.camera_id)
            if counts is not None:
                counts.published(message.captured_at)
        if self._away:
            self._away = False
            _log.info("Kafka is back", waiting=len(self._buffer), dropped=self.dropped)

    def _refused(self, number: int, error: BaseException) -> None:
        message = self._done_with(number)
        self._count_dropped("refused by the broker", message)
        _log.error("Kafka refused a message", camera=message.camera_id, bytes=len(message.value), error=str(error))

    def _take_back(self) -> None:
        """What was in flight on a connection that is given up goes first on the next."""
        messages = [message for message, _ in self._unconfirmed.values()]
        self._unconfirmed.clear()
        self._failure = None
        self._buffer.extendleft(reversed(messages))
        self._bytes += sum(len(message.value) for message in messages)
        self._make_room()

    async def _watch(self) -> None:
        """The client itself tries for ever and says nothing: notice that nothing is confirmed."""
        while True:
            await asyncio.sleep(SILENCE_S / 4)
            _, sent_at = next(iter(self._unconfirmed.values()), (None, time.monotonic()))
            if time.monotonic() - sent_at > SILENCE_S:
                self._lost(f"nothing confirmed for {SILENCE_S:g} s")

    def _lost(self, reason: str) -> None:
        if not self._away:
            self._away = True
            servers = ", ".join(self._settings.bootstrap_servers)
            _log.warning(
                "Kafka is away, keeping the newest",
                servers=servers,
                reason=reason[:200],
                room=self._most,
                error_id="VS-101",
            )
