"""``faust -A tests.stuck worker``: a worker that gets stuck, by itself and in silence.

STUCK  ``handler``   the first one hangs while it delivers its tasks
       ``reader``    aiokafka's fetching ends with the first delivery, as upstream bugs have let it
       ``recovery``  the tables' recovery never ends
       ``loop``      the first handler blocks the event loop
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from typing import Any, cast

from faust.tables.recovery import Recovery
from msgspec import Struct

from vision_stream.app import app
from vision_stream.delivery.consumer import Consumer
from vision_stream.delivery.produce import Outbox

__all__ = ["app"]

_how = os.environ["STUCK"]
_tasks = app.settings.kafka.topics.assessment_tasks.name
_deliver = Outbox.deliver


async def _deliver_and_hang(self: Outbox, key: str, messages: Iterable[Struct]) -> None:
    if self.topic == _tasks:
        match _how:
            case "handler":
                await asyncio.Event().wait()
            case "loop":
                time.sleep(3600)  # noqa: ASYNC251  (that is the point)
            case "reader":
                thread: Any = cast(Consumer, app.consumer)._thread
                thread.thread_loop.call_soon_threadsafe(thread._consumer._fetcher._fetch_task.cancel)
    await _deliver(self, key, messages)


async def _never(self: Recovery, generation_id: int = 0) -> None:
    await asyncio.Event().wait()


Outbox.deliver = _deliver_and_hang
if _how == "recovery":
    Recovery.on_recovery_completed = _never
