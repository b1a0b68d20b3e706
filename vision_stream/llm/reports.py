"""What a call's end means for its key: for the pool, for the other schedulers, for the metrics and the log."""

from __future__ import annotations

import functools
import math
import time
from collections import deque
from collections.abc import Collection, Iterable

import structlog

from vision_stream import metrics
from vision_stream.llm.chat import Answer
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.pool import KeyPool, Lease
from vision_stream.llm.sharing import Sharing
from vision_stream.metric_notes import note

RECENT = 64  # calls that say how long one takes
RECENT_S = 60.0  # and for how long: a slow minute must not keep tasks from trying again
HEDGE_AT = 1.25  # x the 95th percentile. Less: calls that were about to end are made twice.
HEDGE_FROM = 20  # calls known

_input_tokens, _output_tokens = metrics.llm_tokens.labels("input"), metrics.llm_tokens.labels("output")
_requests = functools.lru_cache(maxsize=1024)(metrics.llm_requests.labels)  # finding a child costs four microseconds

_log = structlog.get_logger(__name__)


def _count_answer(latency_s: float, input_tokens: int, output_tokens: int) -> None:
    metrics.llm_latency.observe(latency_s)
    _input_tokens.inc(input_tokens)
    _output_tokens.inc(output_tokens)


def _count_result(key_id: str, result: str) -> None:
    _requests(key_id, result).inc()


class Reports:
    def __init__(self, pool: KeyPool, sharing: Sharing) -> None:
        self._pool, self._sharing = pool, sharing
        self._latencies: deque[tuple[float, float]] = deque(maxlen=RECENT)  # (when, how long)
        self._usual, self._usual_until = (0.0, 0.0), 0.0
        self._blocked = False
        self._published: tuple[str, ...] = ()

    def publish(self, key_ids: Collection[str]) -> None:
        """Let the gauges read the pool whenever they are scraped; those of other keys go."""
        pool = self._pool
        metrics.llm_next_slot.set_function(lambda: pool.next_slot_in(time.monotonic()))
        metrics.keys_available.set_function(lambda: pool.available(time.monotonic()))
        for key_id in set(self._published) - set(key_ids):
            metrics.key_success_rate.remove(key_id)
        self._published = tuple(key_ids)
        for key_id in key_ids:
            metrics.key_success_rate.labels(key_id).set_function(
                lambda key_id=key_id: pool.status(key_id, time.monotonic()).success_rate
            )

    def worth_calling_for(self, crowded: bool) -> float:
        """Seconds that a task must have left, or its call would hardly answer in time; 0 while nothing is known.

        As long as one of five calls took at least lately. Where many wait, the next is always one about to expire, and
        the call that it would waste is another's: then as long as four of five took at most.
        """
        now = time.monotonic()
        if now >= self._usual_until:  # it is asked several times a call
            recent = sorted(self._recent())
            self._usual = (recent[len(recent) // 5], recent[len(recent) * 4 // 5]) if recent else (0.0, 0.0)
            self._usual_until = now + 0.1
        return self._usual[crowded]

    def unusually_long(self) -> float | None:
        """Seconds after which a call takes longer than nearly all did lately; None while too few are known."""
        recent = sorted(self._recent())
        return HEDGE_AT * recent[len(recent) * 95 // 100] if len(recent) >= HEDGE_FROM else None

    def longer_than_usual(self, waited_s: float, timeout_s: float) -> bool:
        """Whether a call given up before ``timeout_s``, for its task's sake, speaks against its key."""
        recent = self._recent()
        return waited_s >= min(timeout_s, 1.5 * max(recent) if recent else timeout_s / 2)

    def _recent(self) -> list[float]:
        oldest = time.monotonic() - RECENT_S
        return [latency_s for at, latency_s in self._latencies if at >= oldest]

    def answered(self, lease: Lease, answer: Answer, latency_s: float) -> None:
        now = time.monotonic()
        self._latencies.append((now, latency_s))
        note(_count_answer, latency_s, answer.input_tokens, answer.output_tokens)
        self._pool.report_answered(lease, now, answer.input_tokens + answer.output_tokens)
        if answer.limit is not None and lease.limits is not None:
            lease.limits.told(answer.limit)
        if lease.probe and self._pool.current(lease):
            _log.info("API key is back", key=lease.key_id)
            self._sharing.tell(lease.key_id, now)
        if self._blocked and self._pool.blocked_until(now) is None:
            self._blocked = False
            _log.info("API keys answer again")

    def failed(self, lease: Lease, failure: CallFailed) -> None:
        """The key's failure: it cools, or is disabled."""
        now = time.monotonic()
        self.count(lease.key_id, failure.kind)
        current = self._pool.current(lease)  # else it speaks of a key that a reload has replaced
        if failure.kind == "unauthorized":
            if self._pool.report_unauthorized(lease, now, failure.what) and current:
                _log.error(
                    "API key is disabled",
                    key=lease.key_id,
                    reason=failure.what,
                    remedy="replace the key",
                    error_id="VS-402",
                )
        elif failure.kind == "rate_limited" or failure.retry_after is not None:
            self._pool.report_rate_limited(lease, now, failure.retry_after, failure.what)
        else:
            self._pool.report_failed(lease, now, failure.what)
        if current:
            self._sharing.tell(lease.key_id, now)

    def innocent(self, lease: Lease, result: str) -> None:
        """The endpoint answered, and refused what was asked."""
        self.count(lease.key_id, result)
        self._pool.report_answered(lease, time.monotonic())

    def blamed_on_request(self, lease: Lease, key_ids: Iterable[str]) -> None:
        """Two keys failed at the same request: neither is to cool for it."""
        self.count(lease.key_id, "server")
        now = time.monotonic()
        self._pool.release(lease, now)
        for key_id in set(key_ids) - {lease.key_id}:
            self._pool.forgive(key_id)
            self._sharing.tell(key_id, now)

    def abandoned(self, lease: Lease, result: str = "cancelled") -> None:
        """The call was ended by us: its task was cancelled, or out of time."""
        self.count(lease.key_id, result)
        self._pool.release(lease, time.monotonic())

    def count(self, key_id: str, result: str) -> None:
        note(_count_result, key_id, result)

    def note_blocked(self, until: float, now: float) -> None:
        """Say once that no key is usable, until one has answered. ``until``: when the first comes back."""
        if not self._blocked:
            self._blocked = True
            soon = "never: all are disabled" if until == math.inf else f"in {until - now:.1f} s"
            _log.warning("All API keys are cooling down or disabled", next=soon, error_id="VS-401")
