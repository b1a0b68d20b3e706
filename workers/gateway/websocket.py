"""``/ws``: one browser's session, from its ``connection_ack`` to its end."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Literal

import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Struct

from vision_stream import metrics, tracing
from vision_stream.errors import MessageError
from vision_stream.messages import decode, encode
from workers.gateway import keys
from workers.gateway.hub import ALL, Session
from workers.gateway.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_SUBSCRIPTIONS,
    ClientMessage,
    ConnectionAck,
    ErrorMessage,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    Unsubscribe,
)

HEARTBEAT_S = 20.0  # a browser that does not answer within half of it is gone
BEHIND_S = 10.0  # a session whose oldest message waits longer is dropped; the page then connects anew
SEND_BUFFER_BYTES = 256 * 1024  # in the kernel. Larger: a slow browser sees older pictures before the newest
MAX_BAD_MESSAGES = 20  # of one session; then it is closed
MAX_SESSIONS = 2000

_log = structlog.get_logger(__name__)


class TooSlow(Exception):
    """The browser has not taken a message for too long."""


async def handle(request: web.Request) -> web.StreamResponse:
    hub = request.app[keys.HUB]
    if not request.app[keys.ACCESS].allows_origin(request):
        raise web.HTTPForbidden(text="origin not allowed: see gateway.allowed_origins")
    if hub.session_count >= MAX_SESSIONS:
        raise web.HTTPServiceUnavailable(text="too many sessions", headers={"Retry-After": "10"})
    ws = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False, decode_text=False, timeout=2.0
    )
    await ws.prepare(request)
    _bound_send_buffer(request)
    sockets = request.app[keys.SOCKETS]
    sockets.add(ws)
    try:
        with hub.session() as session:
            await _converse(request, ws, session)
    finally:
        sockets.discard(ws)
    return ws


async def _converse(request: web.Request, ws: web.WebSocketResponse, session: Session) -> None:
    ack = ConnectionAck(
        session_id=session.session_id,
        server_time=time.time(),
        heartbeat_s=HEARTBEAT_S,
        needs_token=request.app[keys.ACCESS].needs_token,
    )
    try:
        async with asyncio.TaskGroup() as group:
            await _say(ws, ack)
            sender = group.create_task(_send(ws, session, request.app[keys.BEHIND_S]))
            await _receive(request, ws, session)
            sender.cancel()
    except* TooSlow:
        _log.info("dropped a browser that stayed behind", session=session.session_id)
        if request.transport is not None:
            request.transport.abort()  # a close frame would wait behind all that it has not read
    except* ConnectionError:
        pass  # it left while something was being sent


async def _send(ws: web.WebSocketResponse, session: Session, behind_s: float) -> None:
    while True:
        since, push = await session.next()
        if time.monotonic() - since > behind_s:
            raise TooSlow
        try:
            with tracing.pushing(push.type, push.trace):
                async with asyncio.timeout(behind_s):
                    await ws.send_frame(push.body, WSMsgType.TEXT)
        except TimeoutError:
            raise TooSlow from None
        metrics.ws_pushed.labels(push.type).inc()


async def _say(ws: web.WebSocketResponse, message: Struct) -> None:
    try:
        async with asyncio.timeout(BEHIND_S):
            await ws.send_frame(encode(message), WSMsgType.TEXT)
    except TimeoutError:
        raise TooSlow from None


async def _receive(request: web.Request, ws: web.WebSocketResponse, session: Session) -> None:
    bad = 0
    async for frame in ws:
        if frame.type is WSMsgType.ERROR:
            return
        if frame.type is WSMsgType.TEXT and not _is_utf8(frame.data):
            await ws.close(code=WSCloseCode.INVALID_TEXT, message=b"not UTF-8")
            return
        reply = _answer(request, session, frame.data if frame.type is WSMsgType.TEXT else None)
        if isinstance(reply, ErrorMessage):
            bad += 1
            if bad > MAX_BAD_MESSAGES:
                await _say(ws, ErrorMessage(code="too_many_errors", message=f"more than {MAX_BAD_MESSAGES}: closed"))
                await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many bad messages")
                return
        if reply is not None:
            await _say(ws, reply)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _answer(request: web.Request, session: Session, payload: bytes | None) -> Struct | None:
    """Do what the browser asks; what to say to it."""
    if payload is None:
        return ErrorMessage(code="bad_message", message="only text frames are understood")
    try:
        message = decode(payload, ClientMessage)  # type: ignore[arg-type]  # a union
    except MessageError as error:
        return ErrorMessage(code="bad_message", message=str(error.__cause__ or error)[:300])
    match message:
        case Ping(id=ping_id):
            return Pong(id=ping_id, server_time=time.time())
        case Subscribe(cameras=cameras):
            return _subscribe(request, session, cameras)
        case Unsubscribe(cameras=cameras):
            if session.all_cameras and cameras != ALL:
                return ErrorMessage(code="bad_subscription", message='all are subscribed: unsubscribe "*" first')
            request.app[keys.HUB].unsubscribe(session, cameras)
            return Subscribed(cameras=session.wants)
        case _:
            return None


def _subscribe(request: web.Request, session: Session, cameras: tuple[str, ...] | Literal["*"]) -> Struct:
    if cameras != ALL and len(session.cameras.union(cameras)) > MAX_SUBSCRIPTIONS:
        return ErrorMessage(
            code="bad_subscription", message=f'more than {MAX_SUBSCRIPTIONS} cameras: subscribe to "*" instead'
        )
    request.app[keys.HUB].subscribe(session, cameras)
    return Subscribed(cameras=session.wants)


def _bound_send_buffer(request: web.Request) -> None:
    sock = request.transport.get_extra_info("socket") if request.transport is not None else None
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


async def close_all(app: web.Application) -> None:
    """On shutdown: tell each browser that the server goes away, so that it connects anew."""
    closing = (ws.close(code=WSCloseCode.GOING_AWAY, message=b"server is stopping") for ws in tuple(app[keys.SOCKETS]))
    await asyncio.gather(*closing, return_exceptions=True)
