"""The one way to Redis: every command bounded, an outage said once and its return once, nothing waits while it lasts.

What uses Redis here can do without it for a while: a command that could not be run answers None, is counted in
``metrics.redis_errors``, and for the next second all others answer None at once, so that no frame or push pays a
timeout each. The first one after that second tries again, alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from vision_stream import metrics
from vision_stream.errors import ConfigError

_log = structlog.get_logger(__name__)

T = TypeVar("T")
MAX_CONNECTIONS = 32  # of one process; commands beyond it queue within their timeout
UNREACHABLE = (exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError, OSError)


class RedisLink:
    """A Redis that may go away. ``client`` is redis-py's own, for what ``call`` cannot express (a subscription)."""

    def __init__(
        self,
        url: SecretStr,
        *,
        timeout_s: float = 1.0,
        rest_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``; its password reaches no log and no error.
            timeout_s: one command, the connection included.
            rest_s: after a failure, how long commands are answered None without trying.

        Raises:
            ConfigError: the URL is not one of Redis.
        """
        self.where = _place(url)
        self.timeout_s = timeout_s
        self.client = Redis(connection_pool=_pool(url, timeout_s))
        self._rest_s = rest_s
        self._clock = clock
        self._retry_at: float | None = None  # None while Redis answers
        self._gauge = metrics.redis_up.labels(self.where)
        self._gauge.set(1)

    @property
    def up(self) -> bool:
        """Whether the last command that was tried reached Redis."""
        return self._retry_at is None

    async def call(self, store: str, command: Callable[[Redis], Awaitable[T]]) -> T | None:
        """Run ``command`` on the client; None if Redis is away, refused it or took too long.

        ``store`` names the caller in the metric: evidence, frames, cache.
        """
        if self._resting():
            metrics.redis_errors.labels(store).inc()
            return None
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await command(self.client)
        except exceptions.AuthenticationError:  # its text may quote what was sent
            self._lost(store, "Redis refused the credentials")
        except UNREACHABLE as error:
            self._lost(store, str(error) or f"no answer within {self.timeout_s:g} s")
        except exceptions.RedisError as error:  # Redis is there and said no: out of memory, read-only, wrong type
            metrics.redis_errors.labels(store).inc()
            self._returned()
            _log.warning("Redis refused a command", store=store, error=str(error))
        else:
            self._returned()
            return answer
        return None

    async def read(self, store: str, key: str) -> bytes | None:
        """The bytes under ``key``; None if there are none, or Redis is away."""
        found = await self.call(store, lambda redis: redis.get(key))
        return found.encode() if isinstance(found, str) else found

    async def ping(self) -> bool:
        """Whether Redis answers now; respects the rest after a failure."""
        return bool(await self.call("ping", lambda redis: redis.execute_command("PING")))

    async def close(self) -> None:
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.client.aclose()
                await self.client.connection_pool.disconnect()
        except (*UNREACHABLE, exceptions.RedisError):
            pass  # it was gone already

    def _resting(self) -> bool:
        if self._retry_at is None:
            return False
        if self._clock() < self._retry_at:
            return True
        self._retry_at = self._clock() + max(self._rest_s, self.timeout_s)  # the caller is the one probe
        return False

    def _lost(self, store: str, reason: str) -> None:
        metrics.redis_errors.labels(store).inc()
        if self._retry_at is None:
            _log.warning("Redis is away, going on without it", where=self.where, reason=reason, error_id="VS-201")
        self._retry_at = self._clock() + self._rest_s
        self._gauge.set(0)

    def _returned(self) -> None:
        if self._retry_at is not None:
            self._retry_at = None
            self._gauge.set(1)
            _log.info("Redis is back", where=self.where)


def _pool(url: SecretStr, timeout_s: float) -> BlockingConnectionPool:
    try:
        return BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=MAX_CONNECTIONS,
            timeout=timeout_s,  # for a free connection
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),  # once more at once: a pooled connection may be from before a restart
        )
    except ValueError:
        raise ConfigError(
            "redis.url is not a Redis URL", remedy="write redis://[:password@]host:port/db, rediss://... or unix://..."
        ) from None


def _place(url: SecretStr) -> str:
    """Host and port, without user or password."""
    try:
        parts = urlsplit(url.get_secret_value())
        return f"{parts.hostname or parts.path}:{parts.port or 6379}" if parts.scheme != "unix" else parts.path
    except ValueError:
        return "unreadable URL"
