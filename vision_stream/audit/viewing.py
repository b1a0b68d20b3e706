"""A session of the gateway that takes notes: what it was pushed, and when it was there. Bounded by time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

import aiohttp
import msgspec

from vision_stream.audit.facts import Push, Session
from vision_stream.audit.pushed import push_id, said_at
from vision_stream.messages import CameraMessage, decode

RETRY_S = 1.0
HEARTBEAT_S = 20.0
MAX_FRAME = 8 << 20
EVENTS = {"risk_assessment", "alert"}


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_frames = msgspec.json.Decoder(_Frame)


class _Open:
    """A session as it goes."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.ended: float | None = None
        self.pushes: deque[tuple[float, Push]] = deque()  # received at, epoch seconds

    def forget(self, before: float) -> None:
        while self.pushes and self.pushes[0][0] < before:
            self.pushes.popleft()


class Viewing:
    """``await viewing.watch(url, token)`` until cancelled; ``sessions`` at any time.

    Args:
        kept_s: how long pushes are remembered. A session counts as begun from then on.
    """

    def __init__(self, kept_s: float) -> None:
        self.refused = "no answer"  # why the last try found no gateway
        self._let_in = asyncio.Event()
        self._kept_s = kept_s
        self._sessions: deque[_Open] = deque()

    def sessions(self, now: float) -> tuple[Session, ...]:
        horizon = now - self._kept_s
        self._forget(horizon)
        return tuple(
            Session(
                begun=max(session.begun, horizon),
                ended=session.ended if session.ended is not None else now,
                pushes=tuple(push for _, push in session.pushes),
            )
            for session in self._sessions
        )

    async def let_in(self, within_s: float) -> bool:
        """Wait for the first session."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._let_in.wait(), within_s)
        return self._let_in.is_set()

    async def watch(self, url: str, token: str | None = None) -> None:
        """Follow all cameras; a gateway that is away is tried again."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        address = f"{url.rstrip('/')}/ws"
        async with aiohttp.ClientSession(headers=headers) as http:
            while True:
                try:
                    await self._session(http, address)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self.refused = type(error).__name__  # its text may hold the address, and that a token
                await asyncio.sleep(RETRY_S)

    async def _session(self, http: aiohttp.ClientSession, address: str) -> None:
        async with http.ws_connect(address, heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME) as socket:
            await socket.send_json({"type": "subscribe", "cameras": "*"})
            session: _Open | None = None
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    now, frame = time.time(), _frames.decode(message.data)
                    if frame.type == "subscribed":
                        session = _Open(now)
                        self._sessions.append(session)
                        self._let_in.set()
                    elif session is not None and frame.type in EVENTS:
                        self._note(session, frame, now)
            finally:
                if session is not None:
                    session.ended = time.time()

    def _note(self, session: _Open, frame: _Frame, now: float) -> None:
        message = decode(bytes(frame.data), CameraMessage)
        session.pushes.append((now, Push(id=push_id(message), said_at=said_at(message))))
        self._forget(now - self._kept_s)

    def _forget(self, before: float) -> None:
        for session in self._sessions:
            session.forget(before)
        while self._sessions and (ended := self._sessions[0].ended) is not None and ended < before:
            self._sessions.popleft()
