"""One task under way: its limit, what was tried, and the outcome's common fields."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from vision_stream import metrics
from vision_stream.llm.chat import Answer
from vision_stream.llm.verdict import Verdict
from vision_stream.messages import Assessed, AssessmentTask, Expired, Failed, GroupAssessment, without_picture
from vision_stream.redaction import mask
from vision_stream.settings import KeySettings

SHED = "shed"


async def always() -> None:
    """Somebody waits for the outcome."""


class Run:
    """``limit`` is on the monotonic clock; the task's deadline is in epoch seconds, and a step of that clock must not
    move a wait that has begun."""

    def __init__(
        self, task: AssessmentTask, call_deadline_s: float, wanted: Callable[[], Awaitable[None]] = always
    ) -> None:
        """``wanted`` returns as soon as somebody waits for the outcome."""
        self.task, self.wanted = task, wanted
        self.limit = time.monotonic() + min(call_deadline_s, task.deadline - time.time())
        self.estimate = 0  # input tokens of one call
        self.failures = 0  # of endpoints: counted against max_attempts
        self.misfits = 0
        self.server_errors: list[str] = []  # key ids
        self._calls = 0
        self._last = ""
        self._key: KeySettings | None = None
        self._began = 0.0
        self._ended: float | None = None
        self._answered_at: float | None = None
        self._called_at: float | None = None
        self._input_tokens = self._output_tokens = 0

    @property
    def called(self) -> bool:
        return self._calls > 0

    def left(self) -> float:
        return self.limit - time.monotonic()

    def latency(self) -> float:
        """Of the last call: whole, or so far."""
        return (self._ended or time.monotonic()) - self._began if self._key else 0.0

    def begin(self, key: KeySettings) -> None:
        self._key, self._began, self._called_at = key, time.monotonic(), time.time()
        self._ended = self._answered_at = None
        self._calls += 1

    def end(self) -> None:
        """The call has ended, one way or another."""
        self._ended, self._answered_at = time.monotonic(), time.time()

    def note(self, what: str) -> None:
        """The last thing that went wrong."""
        self._last = what

    def give_up(self, key_id: str) -> None:
        """The call hung while its key said nothing; it counts as one that failed."""
        self.failures += 1
        self.note(f"{key_id}: nothing was heard for longer than its calls take")

    def blame(self, key_id: str) -> bool:
        """Note a server error; True when it is the second, on another key than the first."""
        self.server_errors.append(key_id)
        return len(set(self.server_errors)) > 1

    def add_tokens(self, answer: Answer) -> None:
        self._input_tokens += answer.input_tokens
        self._output_tokens += answer.output_tokens

    # -- two calls at a time

    def fork(self) -> Run:
        """Of the same task and limit, for a call beside this one's."""
        other = Run(self.task, 0.0)
        other.limit, other.estimate = self.limit, self.estimate
        return other

    def absorb(self, other: Run) -> None:
        """Count what the fork did."""
        self.failures += other.failures
        self.misfits += other.misfits
        self.server_errors += other.server_errors
        self._calls += other._calls
        self._last = self._last or other._last

    def with_attempts(self, outcome: GroupAssessment) -> GroupAssessment:
        return msgspec.structs.replace(outcome, attempts=self._calls)

    # -- the outcome

    def assessed(self, verdict: Verdict) -> Assessed:
        return Assessed(
            **self._common(),
            risk_level=verdict.risk_level,
            confidence=verdict.confidence,
            risk_types=verdict.risk_types,
            description=verdict.description,
            trigger_object_ids=verdict.trigger_object_ids,
        )

    def expired(self, reason: str) -> Expired:
        return Expired(**self._common(), reason=reason)

    def failed(self, reason: str) -> Failed:
        return Failed(**self._common(), reason=mask(reason)[:500])

    def spent(self) -> Failed:
        calls = "one LLM call was" if self._calls == 1 else f"{self._calls} LLM calls were"
        return self.failed(f"{calls} made without a usable answer; the last: {self._last}")

    def shed(self) -> Expired | Failed:
        """An operator's word ended it: expired where no call was made."""
        if self._calls:
            return self.spent()
        metrics.tasks_shed.inc()
        return self.expired(SHED)

    def late(self) -> Expired | Failed:
        """Time ran out: expired where no call was made, else failed by what the calls said."""
        if self._calls == 0:
            return self.expired(self._last or "no API key came free before the deadline")
        return self.failed(f"the deadline passed after {self._calls} LLM calls; the last: {self._last}")

    def _common(self) -> dict[str, Any]:
        task, key = self.task, self._key
        return {
            "task_id": task.task_id,
            "request_id": task.request_id,
            "camera_id": task.camera_id,
            "group": without_picture(task.group),
            "group_count": task.group_count,
            "deadline": task.deadline,
            "times": msgspec.structs.replace(task.times, called_at=self._called_at, answered_at=self._answered_at),
            "model": key.model[:100] if key else "",
            "key_id": key.id if key else "",
            "latency_s": self.latency(),
            "input_tokens": self._input_tokens,
            "output_tokens": self._output_tokens,
            "attempts": self._calls,
        }
