"""A WebSocket client of the gateway that keeps what a browser would have been told, and when."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import structlog

from vision_stream.messages import Alert, CameraAssessment, Detection

_log = structlog.get_logger(__name__)

RETRY_S = 0.2
KEPT = 20_000  # of each; a demo that is left alone for days must not grow


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_frames = msgspec.json.Decoder(_Frame)


def _newest() -> deque[Any]:
    return deque(maxlen=KEPT)


@dataclass
class Observed:
    pushes: Counter[str] = field(default_factory=Counter)
    assessments: MutableSequence[tuple[float, CameraAssessment]] = field(default_factory=_newest)  # received at, epoch
    detection_delays: MutableSequence[float] = field(default_factory=_newest)  # seconds from capture to the push
    alerts: dict[str, Alert] = field(default_factory=dict)
    first_boxes_at: float | None = None  # epoch seconds


async def observe(url: str, observed: Observed) -> None:
    """Subscribe to all cameras and take notes until cancelled; reconnects while the gateway is away."""
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.ws_connect(url, heartbeat=20, max_msg_size=8 * 1024 * 1024) as socket:
                    await socket.send_json({"type": "subscribe", "cameras": "*"})
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            _note(observed, message.data, time.time())
            except (aiohttp.ClientError, OSError) as error:
                _log.debug("gateway not there yet", error=str(error))
            await asyncio.sleep(RETRY_S)


def _note(observed: Observed, text: str, now: float) -> None:
    frame = _frames.decode(text)
    observed.pushes[frame.type] += 1
    if frame.type == "detection_result":
        detection = msgspec.json.decode(frame.data, type=Detection)
        observed.detection_delays.append(now - detection.times.captured_at)
        if detection.objects and observed.first_boxes_at is None:
            observed.first_boxes_at = now
    elif frame.type == "risk_assessment":
        observed.assessments.append((now, msgspec.json.decode(frame.data, type=CameraAssessment)))
    elif frame.type == "alert":
        alert = msgspec.json.decode(frame.data, type=Alert)
        observed.alerts[alert.alert_id] = alert
