"""The connection to the broker: made again for ever, and the only one that waits for it.

At each connection all that is to be kept is sent again, and only then that we are there. The broker itself says that
we are gone where the connection breaks (the will); where it ends in order, we do.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable

import aiomqtt
import structlog

from vision_stream import metrics
from vision_stream.redaction import mask
from vision_stream.settings import MqttSettings
from workers.mqtt.outbox import Message, Outbox
from workers.mqtt.topics import Topics

FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0
REQUEST_S = 10.0  # for one answer of the broker
KEEPALIVE_S = 20  # a third more in silence: the broker says that we are offline, the client gives its socket up
IN_FLIGHT = 10  # of each kind: the client's own limit is 20
FIND_KEPT_S = 5.0  # after a first connection: what the broker keeps comes at once
INCOMING = 20_000
GOODBYE_S = 1.0

_log = structlog.get_logger(__name__)


class Unreadable(Exception):
    """The certificates are."""


class MqttLink:
    def __init__(
        self,
        settings: MqttSettings,
        outbox: Outbox,
        on_kept: Callable[[str], None],
        *,
        find_kept_s: float = FIND_KEPT_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        """``on_kept`` is told each topic of ours where the broker keeps something, after the first connection."""
        self._settings = settings
        self._topics = Topics(settings.prefix, settings.discovery_prefix)
        self._outbox = outbox
        self._on_kept = on_kept
        self._find_kept_s = find_kept_s
        self._first_retry_s = first_retry_s
        self._found_kept = False
        self._said = False
        self.lost: str | None = "not connected yet"  # why the broker is told nothing

    async def run(self) -> None:
        """Tell the broker until cancelled."""
        retry_s = self._first_retry_s
        while True:
            reason = await self._attempt()
            retry_s = self._first_retry_s if self.lost is None else min(2 * retry_s, MAX_RETRY_S)
            self._say_lost(reason)
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))

    async def _attempt(self) -> str:
        """Tell the broker until it is lost; returns why it is."""
        reason = "ended"
        try:
            await self._connected()
        except* (aiomqtt.MqttError, OSError, TimeoutError, Unreadable) as failures:
            reason = _first(failures)
        except* Exception as failures:
            _log.exception("the connection to the MQTT broker failed, trying again")
            reason = _first(failures)
        return mask(reason)

    async def _connected(self) -> None:
        cancellations = _cancellations()
        async with await self._client() as client:
            _heed_more_than(cancellations)
            client.pending_calls_threshold = 3 * IN_FLIGHT
            unsent = self._outbox.resend(last=self._topics.available)
            self._say_back(unsent)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(client))
                    group.create_task(self._send(client))
            except asyncio.CancelledError:
                await self._say_goodbye(client)
                raise

    async def _client(self) -> aiomqtt.Client:
        it = self._settings
        return aiomqtt.Client(
            it.host,
            it.port,
            username=it.username,
            password=it.password.get_secret_value() if it.password is not None else None,
            identifier=it.client_id,
            will=aiomqtt.Will(self._topics.available, b"offline", qos=1, retain=True),
            timeout=REQUEST_S,
            keepalive=KEEPALIVE_S,
            max_queued_incoming_messages=INCOMING,
            tls_context=await asyncio.to_thread(_tls, it) if it.tls else None,
        )

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Ends with MqttError when the connection does."""
        cancellations = _cancellations()
        if self._settings.discovery:
            await client.subscribe(self._topics.birth)
        if not self._found_kept:
            await client.subscribe([(topic, 0) for topic in self._topics.kept])
        _heed_more_than(cancellations)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._find_kept_s
        async with asyncio.TaskGroup() as group:
            if not self._found_kept:
                group.create_task(self._enough_found(client, until))
            async for message in client.messages:
                self._heard(message)

    async def _enough_found(self, client: aiomqtt.Client, until: float) -> None:
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        await client.unsubscribe(list(self._topics.kept))
        self._found_kept = True

    def _heard(self, message: aiomqtt.Message) -> None:
        topic = message.topic.value
        if topic == self._topics.birth:
            if message.payload == b"online":
                self._outbox.resend(last=self._topics.available)
        elif message.retain and message.payload:
            self._on_kept(topic)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            messages = await self._outbox.next(IN_FLIGHT)
            async with asyncio.TaskGroup() as group:
                for message in messages:
                    group.create_task(self._publish(client, message))

    async def _publish(self, client: aiomqtt.Client, message: Message) -> None:
        await client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        self._outbox.sent(message)
        metrics.mqtt_published.labels("state" if message.retain else "news").inc()

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await client.publish(self._topics.available, b"offline", qos=1, retain=True)

    def _say_lost(self, reason: str) -> None:
        if self.lost is None or not self._said:
            _log.warning("MQTT broker is away, waiting for it", broker=self._where, reason=reason)
            self._said = True
        self.lost = reason
        metrics.mqtt_connected.set(0)

    def _say_back(self, unsent: int) -> None:
        said = "MQTT broker is back" if self._said else "telling an MQTT broker"
        _log.info(said, broker=self._where, topics=unsent)
        self._said = False
        self.lost = None
        metrics.mqtt_connected.set(1)

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"


def _tls(settings: MqttSettings) -> ssl.SSLContext:
    """Raises Unreadable where a file cannot be read; a renewed one is read at the next connection."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except OSError as error:  # ssl.SSLError is one
        raise Unreadable(f"mqtt's certificates: {error.strerror or error}") from error
    return context


def _cancellations() -> int:
    """How often the running task was cancelled; not 0 after a TaskGroup of its own has failed."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _heed_more_than(before: int) -> None:
    """Raise CancelledError where this task was cancelled in a call of the client's that returned all the same: in
    Python 3.11 the ``wait_for`` in these calls takes an answer of the same moment for more important."""
    if _cancellations() > before:
        raise asyncio.CancelledError


def _first(failures: BaseExceptionGroup) -> str:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
