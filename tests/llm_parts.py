"""Tasks, keys and endpoints for the tests of the LLM scheduler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import cv2
import msgspec
import numpy as np

from tests.builders import a_group, an_object
from vision_stream.llm.chat import Answer, Request
from vision_stream.llm.client import Sent, unheard
from vision_stream.messages import AssessmentTask, InlineEvidence, StageTimes
from vision_stream.settings import KeySettings
from vision_stream.simulators.llm import LLMSimulator, SimulatedKey

JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
CANARY = "canary"  # in every secret of the tests


def a_task(number: int = 0, *, deadline_in_s: float = 20.0, **fields: Any) -> AssessmentTask:
    """A task with an inline picture and the objects of its group."""
    objects = fields.pop("objects", None) or (an_object(0, "car"), an_object(1, "person", x=140))
    group = fields.pop("group", None) or a_group(0, *objects, evidence=InlineEvidence(jpeg=JPEG))
    now = time.time()
    whole: dict[str, Any] = {
        "task_id": f"cam-01:s1:{number}/0",
        "request_id": f"cam-01:s1:{number}",
        "camera_id": "cam-01",
        "group": group,
        "objects": objects,
        "group_count": 1,
        "priority": 50,
        "deadline": now + deadline_in_s,
        "times": StageTimes(captured_at=now, detected_at=now),
        "frame_width": 1920,
        "frame_height": 1080,
    }
    return AssessmentTask(**{**whole, **fields})


def secret_of(key_id: str) -> str:
    return f"sk-{CANARY}-{key_id}"


def simulated(*key_ids: str, **limits: Any) -> tuple[SimulatedKey, ...]:
    return tuple(SimulatedKey(key_id, secret_of(key_id), **limits) for key_id in key_ids)


def keys_for(simulator: LLMSimulator, **fields: Any) -> tuple[KeySettings, ...]:
    """Settings of all the simulator's keys, with their limits."""
    return tuple(
        KeySettings(
            id=key.id,
            api_key=key.secret,  # type: ignore[arg-type]
            **{
                "base_url": simulator.base_url,
                "model": "vision-sim",
                "qps_limit": key.qps_limit,
                "rpm_limit": key.rpm_limit,
                "tpm_limit": key.tpm_limit,
                **fields,
            },
        )
        for key in simulator.options.keys
    )


VERDICT = {"risk_level": "low", "confidence": 0.9, "risk_types": [], "description": "", "trigger_object_ids": []}


class TimedClient:
    """A ``VisionClient`` without a network, for the virtual clock: it answers after ``latency()`` seconds."""

    def __init__(self, latency: Callable[[], float]) -> None:
        self.latency, self.calls, self.cancelled = latency, 0, 0

    async def complete(self, key: KeySettings, request: Request, *, timeout_s: float, sent: Sent = unheard) -> Answer:
        self.calls += 1
        sent()
        try:
            await asyncio.sleep(self.latency())
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        content = msgspec.json.encode(VERDICT).decode()
        return Answer(content=content, model="m", finish_reason="stop", input_tokens=100, output_tokens=20)

    async def close(self) -> None: ...
