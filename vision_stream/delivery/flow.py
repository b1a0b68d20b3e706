"""A flow that runs can be resumed without a loss."""

from __future__ import annotations

from mode.utils.queues import FlowControlEvent


class Flow(FlowControlEvent):
    """Faust's ``resume()`` empties every stream's queue, also when the flow runs already, and a recovery resumes it
    several times: the last time after the source partitions were resumed. What had been handed on by then was gone."""

    def resume(self) -> None:
        if not self.is_active():
            super().resume()
