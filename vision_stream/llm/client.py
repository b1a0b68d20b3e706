"""One LLM call: the protocol, and its quick adapter on aiohttp.

``openai_client`` is the second adapter, held to the same behaviour suite. A client follows no redirect, because the
key would go with it, reads no more than ``MAX_ANSWER`` bytes, and ends at its timeout whatever the other side does.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec

from vision_stream.llm.chat import Answer, Request, read_completion, request_body
from vision_stream.llm.failures import CallFailed, from_status
from vision_stream.settings import KeySettings

MAX_ANSWER = 2**20  # bytes of a response. Larger: a broken endpoint fills the memory.
MAX_CONNECTIONS = 2000  # over all endpoints; the scheduler's own limit on calls in flight is the smaller one
CONNECT_S = 5.0
KEEP_ALIVE_S = (
    4.0  # idle. Longer: uvicorn (vLLM) closes at 5 s, and a call meets the closing. Shorter: more handshakes.
)


Sent = Callable[[], None]


def unheard() -> None:
    """Nobody wants to know."""


class VisionClient(Protocol):
    async def complete(self, key: KeySettings, request: Request, *, timeout_s: float, sent: Sent = unheard) -> Answer:
        """Ask once. A client that can tell calls ``sent`` when the request goes out on its connection.

        Raises:
            CallFailed: with the kind that decides what follows.
        """
        ...

    async def close(self) -> None: ...


class AiohttpClient:
    """The hot path. Created on a running loop."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ttl_dns_cache=60, keepalive_timeout=KEEP_ALIVE_S)
        tracing = aiohttp.TraceConfig()
        tracing.on_request_chunk_sent.append(_body_sent)  # the headers wait for the body's first write
        self._session = aiohttp.ClientSession(
            connector=connector,
            trace_configs=[tracing],
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )

    async def complete(self, key: KeySettings, request: Request, *, timeout_s: float, sent: Sent = unheard) -> Answer:
        body = msgspec.json.encode(request_body(request))
        try:
            async with asyncio.timeout(timeout_s):
                status, headers, answer = await self._post(key, body, sent)
        except TimeoutError as error:
            raise CallFailed("timeout", f"no answer within {timeout_s:.1f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed("connection", f"the connection failed: {_why(error)}") from error
        if status != 200:
            raise from_status(status, headers, answer, now=time.time(), secret=key.api_key.get_secret_value())
        return read_completion(answer)

    async def _post(self, key: KeySettings, body: bytes, sent: Sent) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {key.api_key.get_secret_value()}", "Content-Type": "application/json"}
        url = completions_url(key.base_url)
        async with self._session.post(
            url, data=body, headers=headers, proxy=proxy_for(url), allow_redirects=False, trace_request_ctx=sent
        ) as response:
            return response.status, response.headers, await _read(response)

    async def close(self) -> None:
        await self._session.close()


async def _body_sent(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
    context.trace_request_ctx()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > MAX_ANSWER:
            raise CallFailed("unreadable", f"an answer of more than {MAX_ANSWER} bytes", status=response.status)
    return bytes(found)


def _why(error: BaseException) -> str:
    return type(error).__name__ if not isinstance(error, OSError) or not error.strerror else error.strerror


def completions_url(base_url: str) -> str:
    """
    >>> completions_url("https://api.openai.com/v1/")
    'https://api.openai.com/v1/chat/completions'
    """
    return f"{base_url.rstrip('/')}/chat/completions"


@functools.lru_cache(maxsize=1024)
def proxy_for(url: str) -> str | None:
    """The proxy of HTTPS_PROXY and its kin for ``url``; none for this machine itself, whatever they say."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or is_local(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    return proxy


def is_local(host: str) -> bool:
    """
    >>> is_local("localhost"), is_local("127.0.0.1"), is_local("api.openai.com")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
