"""What would be wrong in the agents or the stage, to see that the simulation catches it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from tests.simulation.patched import Agents
from vision_stream.delivery import Record, changelog
from vision_stream.delivery.keylocks import KeyLocks
from vision_stream.delivery.offsets import PartitionLedger
from vision_stream.fencing import Epoch, Fence
from vision_stream.gating import gate
from vision_stream.joining import join
from vision_stream.messages import Detection, GroupAssessment, Overdue, decode


def row_before_tasks(agents: Agents) -> AbstractContextManager[Any]:
    """The task generator writes its row, then delivers the tasks."""
    generator = agents.generator

    async def generate_tasks(record: Record) -> None:
        detection = decode(record.value, Detection)
        state = generator.camera_state.read(detection.camera_id)
        deadline_s = generator.settings.kafka.scheduler.task_deadline_s
        gated = gate(state, detection, generator.settings.gating, task_deadline_s=deadline_s, now=time.time())
        generator.camera_state.write(detection.camera_id, gated.state)
        await generator.tasks.deliver(detection.camera_id, gated.tasks)

    return patch.object(generator, "generate_tasks", generate_tasks)


def row_before_join(agents: Agents) -> AbstractContextManager[Any]:
    """The aggregator writes its row, then delivers the assessment."""
    aggregator = agents.aggregator

    async def join_outcome(record: Record) -> None:
        outcome = decode(record.value, GroupAssessment | Overdue)
        rows = aggregator.pending_assessments
        joined = join(rows.read(outcome.camera_id), outcome, aggregator.settings.alerts, now=time.time())
        rows.write(outcome.camera_id, joined.state)
        await aggregator.assessments.deliver(outcome.camera_id, joined.messages)

    return patch.object(aggregator, "join_outcome", join_outcome)


def acked_out_of_order(agents: Agents) -> AbstractContextManager[Any]:
    """A finished message acks all that came before it, as Faust's own gap handling does."""

    def finish(self: PartitionLedger, offset: int) -> list[int]:
        if self._running.pop(offset, None) is None:
            return []
        self.committable = max(self.committable, offset + 1)
        return [offset]

    return patch.object(PartitionLedger, "finish", finish)


def rows_not_awaited(agents: Agents) -> AbstractContextManager[Any]:
    """A message is acked before the rows that it changed are delivered, as Faust's own tables do."""

    async def delivered(self: changelog.Changes) -> None:
        self._sent = []

    return patch.object(changelog.Changes, "delivered", delivered)


def no_turns(agents: Agents) -> AbstractContextManager[Any]:
    """Messages of one camera are handled side by side."""

    @contextmanager
    def both() -> Iterator[None]:
        with patch.object(KeyLocks, "hold", lambda self, key: _Nobody()):
            yield

    return both()


def no_fence(agents: Agents) -> AbstractContextManager[Any]:
    """A recovery takes every row, whoever wrote it."""
    return patch.object(Fence, "admits", lambda self, key, headers: _admits_all(self, headers))


def _admits_all(fence: Fence, headers: Any) -> bool:
    fence.owner = max(fence.owner, Epoch.of(headers) or fence.owner)
    return True


class _Nobody:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


ALL = (row_before_tasks, row_before_join, acked_out_of_order, rows_not_awaited, no_turns, no_fence)
