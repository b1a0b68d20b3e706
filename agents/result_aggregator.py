"""Result aggregator: a request's outcomes in, one camera assessment out, and the alerts. See ``joining``."""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import partial

import faust
import structlog

from tables import pending_assessments
from vision_stream import logs, results, tracing
from vision_stream.app import app
from vision_stream.delivery import KeyLocks, Record, in_order
from vision_stream.delivery.trouble import patiently
from vision_stream.joining import join
from vision_stream.messages import CameraAssessment, GroupAssessment, Overdue, decode

_log = structlog.get_logger(__name__)
IN_FLIGHT = 64
TRACES_KEPT = 4096  # of requests
TICK_AGAIN_S = 10.0  # where the stream is so far behind that a tick has not come through
settings = app.settings
outcomes = app.outbox("risk_assessment_results")  # to itself: the ticks
assessments = app.outbox("camera_assessments")
one_a_camera = KeyLocks()
_ticked: dict[tuple[str, ...], float] = {}
_traces: OrderedDict[str, object] = OrderedDict()  # by request: where its last outcome was handled


@app.agent(app.input("risk_assessment_results"), name="result_aggregator")
async def result_aggregator(stream: faust.StreamT[bytes]) -> None:
    await in_order(stream, join_outcome, in_flight=IN_FLIGHT, one_a_key=one_a_camera)


async def join_outcome(record: Record) -> None:
    outcome = decode(record.value, GroupAssessment | Overdue)
    record.expect_key(outcome.camera_id)
    logs.of_request(outcome.request_id)
    _remember_trace(outcome)
    now = time.time()
    joined = join(pending_assessments.read(outcome.camera_id), outcome, settings.alerts, now=now)
    await assessments.deliver(outcome.camera_id, joined.messages)
    for message in joined.messages:
        await results.remember(app.stores.get().cache, message, latest_ttl_s=settings.redis.latest_ttl_s)
    # Last. Killed before this line: the replay joins the same again. Killed after it: it is delivered.
    pending_assessments.write(outcome.camera_id, joined.state)
    for message in joined.messages:
        results.count(message, now)
    closed = [message.request_id for message in joined.messages if isinstance(message, CameraAssessment)]
    _log.debug("joined", closed=closed, alerts=len(joined.messages) - len(closed))


def _remember_trace(outcome: GroupAssessment | Overdue) -> None:
    where = tracing.current()
    if where is not None and not isinstance(outcome, Overdue):
        _traces[outcome.request_id] = where
        if len(_traces) > TRACES_KEPT:
            _traces.popitem(last=False)


@app.timer(interval=1.0)
async def tick_overdue() -> None:
    """A timer cannot write a table: tell the agent, in the stream, which rows are overdue."""
    if app.rebalancing or not app.tables.actives_ready:
        return
    now = time.time()
    for camera_id, ids in pending_assessments.late(now):
        if app.owns("risk_assessment_results", camera_id) and now - _ticked.get((camera_id, *ids), 0.0) > TICK_AGAIN_S:
            _ticked[camera_id, *ids] = now
            tick = Overdue(request_id=ids[0], camera_id=camera_id, at=now)
            with tracing.within(_traces.get(ids[0])):
                await patiently(partial(outcomes.deliver, camera_id, [tick]))  # raising would end the worker
    for waited in [key for key, at in _ticked.items() if now - at > TICK_AGAIN_S]:
        del _ticked[waited]
