"""Builders and a running gateway for the gateway's tests: a real server on a loopback port."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

from vision_stream.api_networks import Resolve
from vision_stream.messages import (
    Alert,
    Assessed,
    Box,
    CameraAssessment,
    CameraCommand,
    CameraStatus,
    DetectedObject,
    Detection,
    Evidence,
    Group,
    NoEvidence,
    RiskLevel,
    StageTimes,
)
from vision_stream.settings import Settings
from vision_stream.stores.cache import MemoryCache
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from vision_stream.stores.open import Stores
from workers.gateway.desk import Desk, Keeper
from workers.gateway.health import Readiness
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster
from workers.gateway.server import build, serving

NOW = 1_800_000_000.0
WAIT_S = 5.0


def times(at: float = NOW, *, joined: bool = False) -> StageTimes:
    return StageTimes(captured_at=at, detected_at=at + 0.05, joined_at=at + 2 if joined else None)


NO_PICTURE = NoEvidence(reason="not taken")


def a_group(*, evidence: Evidence = NO_PICTURE) -> Group:
    return Group(
        index=0,
        box=Box(100, 100, 300, 250),
        members=(0, 1),
        label_counts={"car": 1, "person": 1},
        mean_confidence=0.9,
        evidence=evidence,
    )


def a_detection(
    camera_id: str = "cam-01", *, sequence: int = 1, session: str = "s", at: float | None = None, **changes: Any
) -> Detection:
    values: dict[str, Any] = {
        "detection_id": f"{camera_id}:{session}:{sequence}",
        "camera_id": camera_id,
        "session": session,
        "sequence": sequence,
        "times": times(NOW + sequence if at is None else at),
        "frame_width": 1280,
        "frame_height": 720,
        "objects": (
            DetectedObject(object_id=0, label="car", confidence=0.9, box=Box(100, 100, 200, 200)),
            DetectedObject(object_id=1, label="person", confidence=0.8, box=Box(240, 120, 300, 250)),
        ),
        "groups": (a_group(),),
    }
    return Detection(**values | changes)


def an_assessment(
    camera_id: str = "cam-01",
    *,
    request_id: str = "cam-01:s:1",
    level: RiskLevel = "high",
    complete: bool = True,
    at: float = NOW,
) -> CameraAssessment:
    assessed = Assessed(
        task_id=f"{request_id}/0",
        request_id=request_id,
        camera_id=camera_id,
        group=a_group(),
        group_count=1,
        deadline=at + 30,
        times=times(at),
        risk_level=level,
        confidence=0.9,
        risk_types=("pedestrian_conflict",),
        description="A person steps in front of a moving car.",
    )
    return CameraAssessment(
        request_id=request_id,
        camera_id=camera_id,
        assessments=(assessed,),
        group_count=1,
        max_risk_level=level,
        complete=complete,
        times=times(at, joined=True),
    )


def an_alert(camera_id: str = "cam-01", *, alert_id: str = "a-1", **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "alert_id": alert_id,
        "camera_id": camera_id,
        "state": "opened",
        "risk_level": "high",
        "risk_types": ("pedestrian_conflict",),
        "description": "A person steps in front of a moving car.",
        "opened_at": NOW,
        "updated_at": NOW,
        "task_id": f"{camera_id}:s:1/0",
        "box": Box(100, 100, 300, 250),
    }
    return Alert(**values | changes)


def a_status(camera_id: str = "cam-01", *, at: float = NOW, **changes: Any) -> CameraStatus:
    values: dict[str, Any] = {"camera_id": camera_id, "state": "online", "since": at, "at": at}
    return CameraStatus(**values | changes)


@dataclass
class Gateway:
    hub: Hub
    stores: Stores
    readiness: Readiness
    url: str
    client: ClientSession
    app: web.Application


class MemoryCommands:
    """A ``Keeper`` whose commands are its ``kept``."""

    def __init__(self) -> None:
        self.kept: dict[str, CameraCommand] = {}

    async def put(self, command: CameraCommand) -> None:
        self.kept[command.camera_id] = command

    async def remove(self, camera_id: str) -> None:
        del self.kept[camera_id]


async def no_name_is_known(host: str) -> Sequence[str]:
    """Resolves addresses only."""
    return [str(ip_address(host))]


@asynccontextmanager
async def a_gateway(
    *,
    hub: Hub | None = None,
    behind_s: float = 10.0,
    cameras: Sequence[Mapping[str, Any]] = (),
    keeper: Keeper | None = None,
    resolve: Resolve = no_name_is_known,
    clock: Callable[[], float] = time.monotonic,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """Listening on a free loopback port; ``settings`` are those of the section ``gateway``.

    With a ``keeper`` cameras are started and stopped over it; ``clock`` tells their rate.
    """
    hub, readiness = hub if hub is not None else Hub(), Readiness()
    stores = Stores(MemoryEvidence(), MemoryFrames(), MemoryCache())
    made = Settings.model_validate({"gateway": {"port": 0, **settings}, "cameras": {"cameras": cameras}})
    roster = Roster(made.cameras.cameras, hub)
    desk = Desk(made, roster, keeper, commands={}, resolve=resolve, clock=clock) if keeper is not None else None
    app = build(made, hub, stores, roster=roster, desk=desk, readiness=readiness, behind_s=behind_s)
    async with serving(app) as at, ClientSession(at.url) as client:
        yield Gateway(hub, stores, readiness, at.url, client, app)


async def hear(ws: ClientWebSocketResponse) -> dict[str, Any]:
    """The next message on the socket."""
    frame = await ws.receive(timeout=WAIT_S)
    assert frame.type is WSMsgType.TEXT, frame
    return json.loads(frame.data)


@asynccontextmanager
async def listening(gateway: Gateway, cameras: Any = "*", **how: Any) -> AsyncIterator[ClientWebSocketResponse]:
    """A socket that has subscribed to ``cameras``."""
    async with gateway.client.ws_connect("/ws", **how) as ws:
        assert (await hear(ws))["type"] == "connection_ack"
        await ws.send_json({"type": "subscribe", "cameras": cameras})
        assert (await hear(ws))["type"] == "subscribed"
        yield ws
