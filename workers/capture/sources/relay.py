"""Stands between FFmpeg and a camera that somebody named over the API, because FFmpeg goes wherever it is told.

    FFmpeg -> 127.0.0.1:port -> relay -> the one address that was looked up and checked just now

FFmpeg looks names up by itself and follows redirects, of HTTP and of RTSP. Here it only knows this relay, which looks
up, checks, connects (with TLS, where the camera has it), passes the bytes on, and cuts where the camera sends FFmpeg
elsewhere. What FFmpeg makes of the bytes is bounded in ``guarded``.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from vision_stream.api_networks import NEVER, Network, Resolve, permitted, system_resolver
from vision_stream.api_sources import Target
from workers.capture.sources.answers import REDIRECTS, Cut, RedirectFinder, check_http_head, rtsp_refusal

CONNECT_S = 4.0  # to look up and connect: below the 5 s that a stream has to open
IDLE_S = 30.0  # without a byte from the camera; FFmpeg itself gives up sooner
STOP_S = 5.0
CHUNK = 64 * 1024
HEAD_BYTES = 16 * 1024  # of an HTTP answer
MOST_CONNECTIONS = 4  # at a time: FFmpeg needs one, and a second where it opens anew


class Relay:
    """Of one camera; ``relaying`` runs it."""

    def __init__(
        self,
        target: Target,
        allowed: Sequence[Network],
        *,
        resolve: Resolve = system_resolver,
        never: Sequence[Network] = NEVER,
    ) -> None:
        self.url = ""  # for FFmpeg
        self.trouble: str | None = None  # why the last connection was not made or was cut, where that is known
        self._target = target
        self._allowed = allowed
        self._never = never
        self._resolve = resolve
        self._key = secrets.token_hex(16)  # so that nobody else on this machine is passed on
        self._open = 0
        self._names: dict[bytes, bytes] = {}  # in FFmpeg's requests, and what the camera is to see instead

    async def serve(self, listening: Future[None], stop: asyncio.Event) -> None:
        """Listen until ``stop``."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=HEAD_BYTES)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'rtsp' if self._target.is_rtsp else 'http'}://127.0.0.1:{port}/{self._key}"
        self._names = {
            f"rtsp://127.0.0.1:{port}/{self._key}".encode(): self._target.url.encode(),
            f"GET /{self._key} HTTP".encode(): f"GET {self._target.path} HTTP".encode(),
            f"127.0.0.1:{port}".encode(): self._target.authority.encode(),
        }
        listening.set_result(None)
        async with server:
            await stop.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.trouble = None
        try:
            if self._open <= MOST_CONNECTIONS:
                await self._pass_on(reader, writer)
            writer.close()
            async with asyncio.timeout(IDLE_S):
                await writer.wait_closed()
        except* Cut as cuts:
            self.trouble = str(cuts.exceptions[0])
        except* (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # FFmpeg sees the end of the stream, and says so
        finally:
            self._open -= 1
            writer.transport.abort()  # of a closed one nothing is left to do

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(CONNECT_S):
            first = await reader.read(CHUNK)  # FFmpeg speaks first, and each request comes in one piece
        if self._key.encode() not in first:
            return
        from_camera, to_camera = await self._connect()
        try:
            async with asyncio.TaskGroup() as group:
                requests = group.create_task(self._requests(first, reader, to_camera))
                await self._answers(from_camera, writer)
                requests.cancel()
        finally:
            to_camera.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = self._target.host
        try:
            async with asyncio.timeout(CONNECT_S):
                addresses = permitted(await self._resolve(host), self._allowed, self._never)
                if not addresses:
                    raise Cut("its address is none where cameras may be (cameras.api_networks)")
                return await self._dial(addresses)
        except TimeoutError:
            raise Cut(f"no answer within {CONNECT_S:g} s") from None
        except ssl.SSLError:
            raise Cut("it does not speak TLS as we do") from None
        except ConnectionRefusedError:
            raise Cut("connection refused: nothing listens on that port") from None
        except OSError:
            raise Cut("its name is not known, or there is no way to it") from None

    async def _dial(self, addresses: Sequence[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first that answers; to an address, so that nothing is looked up a second time."""
        context = _any_certificate() if self._target.encrypted else None
        name = self._target.host if context is not None else None
        for address in addresses[:-1]:
            try:
                return await asyncio.open_connection(
                    address, self._target.port, ssl=context, server_hostname=name, limit=HEAD_BYTES
                )
            except OSError:
                continue
        return await asyncio.open_connection(
            addresses[-1], self._target.port, ssl=context, server_hostname=name, limit=HEAD_BYTES
        )

    async def _requests(self, chunk: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """FFmpeg's, from ``chunk`` on, under the camera's own name."""
        while chunk:
            for ours, theirs in self._names.items():
                chunk = chunk.replace(ours, theirs)
            writer.write(chunk)
            await writer.drain()
            chunk = await reader.read(CHUNK)
        raise ConnectionAbortedError  # FFmpeg has left

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        finder = RedirectFinder()
        if not self._target.is_rtsp:
            writer.write(await self._http_head(reader))
        while True:
            async with asyncio.timeout(IDLE_S):
                chunk = await reader.read(CHUNK)
            if not chunk:
                return
            if self._target.is_rtsp:
                self._check_rtsp(chunk, finder)
            writer.write(chunk)
            await writer.drain()

    async def _http_head(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(IDLE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        check_http_head(head)
        return head

    def _check_rtsp(self, chunk: bytes, finder: RedirectFinder) -> None:
        if finder.found(chunk):
            raise Cut(REDIRECTS)
        self.trouble = rtsp_refusal(chunk) or self.trouble


def _any_certificate() -> ssl.SSLContext:
    # Cameras sign their own; FFmpeg takes any, too. What is protected is who may be reached, not who answers.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def relaying(relay: Relay) -> Iterator[Relay]:
    """Run ``relay`` in a thread until the block ends. Raises OSError: it cannot listen."""
    loop, listening, stop = asyncio.new_event_loop(), Future[None](), asyncio.Event()
    thread = threading.Thread(target=_run, args=(loop, relay, listening, stop), daemon=True, name="camera relay")
    thread.start()
    try:
        listening.result(CONNECT_S)
        yield relay
    finally:
        with suppress(RuntimeError):  # it has ended: it could not listen
            loop.call_soon_threadsafe(stop.set)
        thread.join(STOP_S)


def _run(loop: asyncio.AbstractEventLoop, relay: Relay, listening: Future[None], stop: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:  # ends what is still passed on, and closes the loop
        try:
            runner.run(relay.serve(listening, stop))
        except OSError as error:
            listening.set_exception(error)
