"""Tasks, keys and endpoints for the tests of the LLM scheduler."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from tests.builders import a_group, an_object
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
