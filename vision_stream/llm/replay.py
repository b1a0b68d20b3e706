"""A log of calls against other settings, on a clock of its own: what would have waited, expired and cost. Pure.

The log is JSON lines: what the topic risk-assessment-results holds, or what ``simulate llm --call-log`` writes. Each
line is a task that comes when it came, and takes as long and as many tokens as it did.
"""

from __future__ import annotations

import heapq
import itertools
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from vision_stream.llm.budget import Budget
from vision_stream.llm.chat import Answer
from vision_stream.llm.pool import KeyPool, Lease, WaitUntil, pool_of
from vision_stream.messages import GroupAssessment
from vision_stream.settings import LLMSettings, SchedulerSettings

UNKNOWN_LATENCY_S = 2.0  # where no line of the log knows one


class Task(Struct, frozen=True, kw_only=True):
    """One line of a log. ``at`` and ``deadline`` are epoch seconds."""

    at: float
    deadline: float
    latency_s: float = 0.0  # 0: it was never called
    camera_id: str = ""
    priority: int = 50
    input_tokens: int = 0
    output_tokens: int = 0


class Report(Struct, frozen=True, kw_only=True):
    tasks: int
    called: int
    expired: int
    over_budget: int
    waited_p50_s: float
    waited_p95_s: float
    waited_max_s: float
    cost: float  # in the currency of llm.prices; 0 without them
    calls: dict[str, int]  # by key


class _Line(Struct):
    at: float
    latency_s: float = 0.0
    priority: int = 50
    deadline: float | None = None
    camera_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


def read(lines: Iterable[bytes], deadline_s: float) -> tuple[list[Task], int]:
    """The tasks of a log in the order of their coming, and how many lines could not be read.

    ``deadline_s``: from a task's coming, where its line does not say.
    """
    tasks, unread = list[Task](), 0
    for line in lines:
        try:
            tasks.append(_task(line, deadline_s))
        except (msgspec.DecodeError, UnicodeDecodeError):
            unread += bool(line.strip())
    return sorted(tasks, key=lambda task: task.at), unread


def _task(line: bytes, deadline_s: float) -> Task:
    if b'"outcome"' in line:
        outcome = msgspec.json.decode(line, type=GroupAssessment)
        return Task(
            at=outcome.times.gated_at or outcome.times.captured_at,
            deadline=outcome.deadline,
            latency_s=outcome.latency_s,
            camera_id=outcome.camera_id,
            input_tokens=outcome.input_tokens,
            output_tokens=outcome.output_tokens,
        )
    found = msgspec.json.decode(line, type=_Line)
    return Task(
        at=found.at,
        deadline=found.at + deadline_s if found.deadline is None else found.deadline,
        latency_s=found.latency_s,
        camera_id=found.camera_id,
        priority=found.priority,
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
    )


def replay(tasks: Sequence[Task], llm: LLMSettings, scheduler: SchedulerSettings) -> Report:
    """What the tasks would have met with these settings; endpoints that answer all that their limits allow."""
    return _Replay(tasks, llm, scheduler).run()


class _Replay:
    def __init__(self, tasks: Sequence[Task], llm: LLMSettings, scheduler: SchedulerSettings) -> None:
        self._llm, self._most = llm, scheduler.max_concurrent_tasks
        self._pool: KeyPool = pool_of(llm, uniform=lambda low, high: (low + high) / 2)
        self._models = {key.id: key.model for key in llm.keys}
        self._now = tasks[0].at if tasks else 0.0
        self._budget = Budget(llm, None, clock=lambda: self._now)
        known = [task.latency_s for task in tasks if task.latency_s > 0]
        self._usual_s = statistics.median(known) if known else UNKNOWN_LATENCY_S
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, Task | Lease | None]] = []
        for task in tasks:
            self._at(task.at, task)
        self._waiting: list[tuple[int, float, int, Task]] = []
        self._in_flight = 0
        self._waits: list[float] = []
        self._calls: Counter[str] = Counter()
        self._expired = self._over_budget = 0
        self._cost = 0.0

    def _at(self, when: float, what: Task | Lease | None) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def run(self) -> Report:
        total = len(self._events)
        while self._events:
            self._now, _, what = heapq.heappop(self._events)
            if isinstance(what, Task):
                heapq.heappush(self._waiting, (-what.priority, what.deadline, next(self._numbers), what))
            elif isinstance(what, Lease):
                self._in_flight -= 1
                self._pool.report_answered(what, self._now)
            self._serve()
        self._expired += len(self._waiting)  # no key would ever have come
        waits = sorted(self._waits) or [0.0]
        return Report(
            tasks=total,
            called=len(self._waits),
            expired=self._expired,
            over_budget=self._over_budget,
            waited_p50_s=waits[len(waits) // 2],
            waited_p95_s=waits[min(len(waits) * 95 // 100, len(waits) - 1)],
            waited_max_s=waits[-1],
            cost=self._cost,
            calls=dict(self._calls),
        )

    def _serve(self) -> None:
        while self._waiting and self._in_flight < self._most:
            task = self._waiting[0][3]
            if task.deadline <= self._now:
                heapq.heappop(self._waiting)
                self._expired += 1
                continue
            acquired = self._pool.acquire(self._now, task.input_tokens + self._llm.max_output_tokens)
            if not isinstance(acquired, Lease):
                if isinstance(acquired, WaitUntil):
                    self._at(acquired.at, None)
                return
            heapq.heappop(self._waiting)
            self._call(task, acquired)

    def _call(self, task: Task, lease: Lease) -> None:
        booked = self._budget.book(task.camera_id, self._models[lease.key_id], task.input_tokens)
        if booked is None:
            self._pool.release(lease, self._now)
            self._over_budget += 1
            return
        before = booked.book.total - booked.amount
        answer = Answer(
            content="",
            model="",
            finish_reason="stop",
            input_tokens=task.input_tokens,
            output_tokens=task.output_tokens,
        )
        self._budget.settle(booked, answer)
        self._cost += booked.book.total - before
        self._pool.report_sent(lease, self._now)
        self._in_flight += 1
        self._waits.append(self._now - task.at)
        self._calls[lease.key_id] += 1
        self._at(self._now + (task.latency_s or self._usual_s), lease)
