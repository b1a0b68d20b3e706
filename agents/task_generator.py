"""Task generator: a detection in, the assessment tasks that it deserves out; and what came back, remembered.

Decides nothing itself: see ``gating``.
"""

from __future__ import annotations

import time

import faust
import structlog

from tables import camera_state
from vision_stream import logs, metrics
from vision_stream.app import app
from vision_stream.delivery import KeyLocks, Record, in_order
from vision_stream.gating import gate, learn
from vision_stream.messages import CameraAssessment, CameraMessage, Detection, decode

_log = structlog.get_logger(__name__)
IN_FLIGHT = 64  # cameras handled at once; each waits for two round trips to the broker
settings = app.settings
tasks = app.outbox("assessment_tasks")
one_a_camera = KeyLocks()  # both agents write the camera's row: they take turns


@app.agent(app.input("detection_results"), name="task_generator")
async def task_generator(stream: faust.StreamT[bytes]) -> None:
    await in_order(stream, generate_tasks, in_flight=IN_FLIGHT, one_a_key=one_a_camera)


async def generate_tasks(record: Record) -> None:
    detection = decode(record.value, Detection)
    logs.of_request(detection.detection_id)
    record.expect_key(detection.camera_id)
    deadline_s = settings.kafka.scheduler.task_deadline_s
    gated = gate(
        camera_state.read(detection.camera_id),
        detection,
        settings.gating,
        task_deadline_s=deadline_s,
        now=time.time(),
    )
    await tasks.deliver(detection.camera_id, gated.tasks)
    # Last. Killed before this line: the replay sends the same task ids again. Killed after it: they are delivered.
    camera_state.write(detection.camera_id, gated.state)
    _log.debug("gated", tasks=[task.task_id for task in gated.tasks], skipped=gated.skips)
    for reason, groups in gated.skips.items():
        metrics.groups_skipped.labels(reason=reason).inc(groups)


@app.agent(app.input("camera_assessments"), name="verdict_learner")
async def verdict_learner(stream: faust.StreamT[bytes]) -> None:
    await in_order(stream, learn_verdict, in_flight=IN_FLIGHT, one_a_key=one_a_camera)


async def learn_verdict(record: Record) -> None:
    message = decode(record.value, CameraMessage)
    record.expect_key(message.camera_id)
    if isinstance(message, CameraAssessment):
        logs.of_request(message.request_id)
        before = camera_state.read(message.camera_id)
        after = learn(before, message)
        _log.debug("verdict learned" if after is not before else "verdict known, or too late")
        if after is not before:
            camera_state.write(message.camera_id, after)
