"""LLM scheduler: an assessment task in, its one outcome out. Decides nothing itself: see ``llm``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import faust
import structlog

from tables.key_cooldowns import TableCooldowns
from vision_stream import logs, metrics
from vision_stream.app import app
from vision_stream.config import load_with_places
from vision_stream.delivery import Record, in_order
from vision_stream.delivery.trouble import patiently
from vision_stream.llm.outliving import Outliving
from vision_stream.llm.reloading import following
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import AssessmentTask, GroupAssessment, decode, outcome_name

_log = structlog.get_logger(__name__)
# Tasks that wait for a key, beside those that have one: so many that the most urgent of them comes first, and so few
# that a kill repeats little.
WAITING = 4  # x calls in flight
settings = app.settings
results = app.outbox("risk_assessment_results")


class Judging(NamedTuple):
    scheduler: LLMScheduler
    calls: Outliving[GroupAssessment]


@app.resource
@asynccontextmanager
async def judging() -> AsyncIterator[Judging]:
    stores, cooldowns = app.stores.get(), TableCooldowns()
    running = LLMScheduler(
        settings.llm,
        settings.kafka.scheduler,
        stores.evidence,
        cooldowns,
        limits_dir=Path(settings.data_dir) / "limits",  # all workers of a host count together
        redis=stores.redis,  # and those of all hosts, where there is one
    )
    calls = Outliving[GroupAssessment](running.calling)
    await running.start()
    app.reports["api_keys"] = running.pool.snapshot
    app.reports["shed_below"] = lambda: running.shed_below
    app.waits.append(running.hand_back)
    try:
        async with following(load_with_places, running.reload):
            yield Judging(running, calls)
    finally:
        await calls.close()
        await running.close()
        await cooldowns.close()


@app.agent(app.input("assessment_tasks"), name="llm_scheduler")
async def llm_scheduler(stream: faust.StreamT[bytes]) -> None:
    taken = WAITING * settings.kafka.scheduler.max_concurrent_tasks
    await in_order(stream, assess, in_flight=taken, span=taken, may_take_s=settings.kafka.scheduler.call_deadline_s)


async def assess(record: Record) -> None:
    task = decode(record.value, AssessmentTask)
    logs.of_request(task.request_id)
    scheduler, calls = judging.get()
    wanted = partial(calls.wanted, task.task_id)
    async with calls.of(task.task_id, partial(scheduler.assess, task, wanted)) as outcome:
        await patiently(partial(results.deliver, task.camera_id, [outcome]))
    metrics.tasks.labels(outcome=outcome_name(outcome)).inc()
    _log.debug("outcome", task=task.task_id, outcome=outcome_name(outcome), reason=getattr(outcome, "reason", None))
