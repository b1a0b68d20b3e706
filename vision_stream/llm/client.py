"""One LLM call: the protocol, and its quick adapter on aiohttp.

``openai_client`` is the second adapter, held to the same behaviour suite. A client follows no redirect, because the
key would go with it, reads no more than ``MAX_ANSWER`` bytes, and ends at its timeout whatever the other side does.
"""

from __future__ import annotations

import functools
import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL

from vision_stream.llm.chat import Answer, Request, encoded_body, read_completion
from vision_stream.llm.deadlines import Deadlines
from vision_stream.llm.failures import CallFailed, from_status
from vision_stream.llm.told_limits import LIMIT, said_limit
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
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )
        self._endpoints: dict[str, _Endpoint] = {}
        self._deadlines = Deadlines()

    async def complete(self, key: KeySettings, request: Request, *, timeout_s: float, sent: Sent = unheard) -> Answer:
        body = encoded_body(request)
        try:
            with self._deadlines.within(timeout_s):
                status, headers, answer = await self._post(key, body, sent)
        except TimeoutError as error:
            raise CallFailed("timeout", f"no answer within {timeout_s:.1f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed("connection", f"the connection failed: {_why(error)}") from error
        if status != 200:
            raise from_status(status, headers, answer, now=time.time(), secret=key.api_key.get_secret_value())
        return read_completion(answer, said_limit(headers) if LIMIT in headers else None)

    async def _post(self, key: KeySettings, body: bytes, sent: Sent) -> tuple[int, Mapping[str, str], bytes]:
        known = self._endpoints.get(key.id)
        if known is None or known.key is not key:
            known = self._endpoints[key.id] = _Endpoint(key)
        response = await self._session.post(
            known.url, data=_Body(body, sent), headers=known.headers, proxy=known.proxy, allow_redirects=False
        )
        try:
            return response.status, response.headers, await _read(response)
        finally:
            response.close()  # nothing, where all was read: its connection is back among the idle by then

    async def close(self) -> None:
        await self._session.close()


class _Endpoint:
    """What all calls of a key have in common."""

    __slots__ = ("headers", "key", "proxy", "url")

    def __init__(self, key: KeySettings) -> None:
        url = completions_url(key.base_url)
        self.key, self.url, self.proxy = key, URL(url), proxy_for(url)
        self.headers = CIMultiDict(Authorization=f"Bearer {key.api_key.get_secret_value()}")


class _Body(aiohttp.BytesPayload):
    """Says when it has been written, and with it the headers, which wait for a body's first write."""

    def __init__(self, body: bytes, sent: Sent) -> None:
        super().__init__(body, content_type="application/json")
        self._body, self._sent = body, sent

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await writer.write(self._body)
        self._sent()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_ANSWER and "Content-Encoding" not in response.headers:
        return await response.read()
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
