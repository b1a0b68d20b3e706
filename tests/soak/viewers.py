"""Browsers' sessions at the gateway: what they were pushed, and what twice."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict

import aiohttp
import msgspec

RETRY_S = 0.5
KEPT = 20_000  # events that are known again; about ten minutes


class _Data(msgspec.Struct):
    request_id: str = ""
    alert_id: str = ""
    state: str = ""
    updated_at: float = 0.0


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_frames = msgspec.json.Decoder(_Frame)
_data = msgspec.json.Decoder(_Data)


class Viewer:
    """``await viewer.watch(url)`` until cancelled; reconnects."""

    def __init__(self, cameras: list[str] | str) -> None:
        self.counts: Counter[str] = Counter()
        self._cameras = cameras
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()  # of this session

    async def watch(self, url: str) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                try:
                    await self._session(http, url)
                except (aiohttp.ClientError, OSError):
                    self.counts["broken off"] += 1
                await asyncio.sleep(RETRY_S)

    async def _session(self, http: aiohttp.ClientSession, url: str) -> None:
        async with http.ws_connect(url, heartbeat=20, max_msg_size=8 << 20) as socket:
            self.counts["sessions"] += 1
            self._seen.clear()
            await socket.send_json({"type": "subscribe", "cameras": self._cameras})
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._note(_frames.decode(message.data))

    def _note(self, frame: _Frame) -> None:
        self.counts[frame.type] += 1
        if frame.type not in ("risk_assessment", "alert"):
            return
        data = _data.decode(frame.data)
        event = (frame.type, data.request_id, data.alert_id, data.state, str(data.updated_at))
        if event in self._seen:
            self.counts["pushed twice"] += 1
        self._seen[event] = None
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
