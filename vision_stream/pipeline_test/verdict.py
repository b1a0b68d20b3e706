"""From what was seen to a latency table and a verdict that says what is wrong, and what to look at. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from vision_stream.messages import StageTimes
from vision_stream.pipeline_test.seen import STAGES, Join, Seen

JUDGED_SHARE = 0.95  # of the tasks; fewer: keys, limits or the LLM are not what they should be
BEHIND_S = 1.0  # by which a load may lag its pace and still be the load that was asked for


class Sent(Struct, frozen=True, kw_only=True):
    """A load as it was sent."""

    wanted: int  # detections
    delivered: int
    seconds: float
    behind_s: float  # the most by which it lagged its pace
    acks_s: Sequence[float] = ()  # from send to the broker's word


class Row(Struct, frozen=True, kw_only=True):
    """One line of the table: seconds."""

    stage: str
    count: int
    p50: float
    p95: float
    longest: float


def latencies(joins: Iterable[Join], acks_s: Sequence[float] = ()) -> list[Row]:
    """Each stage's time, of the requests that passed it; over several hosts as exact as their clocks agree."""
    spent: dict[str, list[float]] = {"detection to Kafka": list(acks_s)}
    for join in joins:
        for stage, seconds in _spent(join.times, join.received_at).items():
            spent.setdefault(stage, []).append(seconds)
    return [row(stage, seconds) for stage, seconds in spent.items() if seconds]


def _spent(t: StageTimes, received_at: float) -> dict[str, float]:
    if t.gated_at is None or t.called_at is None or t.answered_at is None or t.joined_at is None:
        return {"end to end": received_at - t.captured_at}  # expired uncalled, or in part
    return {
        "to the task": t.gated_at - t.captured_at,
        "wait for a key": t.called_at - t.gated_at,
        "LLM call": t.answered_at - t.called_at,
        "to the join": t.joined_at - t.answered_at,
        "to the reader": received_at - t.joined_at,
        "end to end": received_at - t.captured_at,
    }


def row(stage: str, seconds: Sequence[float]) -> Row:
    ordered = sorted(seconds)
    return Row(
        stage=stage, count=len(ordered), p50=_rank(ordered, 50), p95=_rank(ordered, 95), longest=round(ordered[-1], 4)
    )


def _rank(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank.

    >>> _rank([0.1, 0.2, 0.3, 0.4], 95)
    0.4
    """
    return round(ordered[-(-percent * len(ordered) // 100) - 1], 4)


def end_to_end(sent: Sent, seen: Seen, *, p95_limit_s: float) -> list[str]:
    """What is wrong; empty: the pipeline passed."""
    if not seen.detections:
        return [f"of {sent.delivered} detections none was read back from Kafka: is it the same cluster and topic?"]
    if not seen.tasks:
        return ["no assessment task was made of any detection: does a worker with the task generator run?"]
    wrong = []
    if sent.delivered < sent.wanted:
        wrong.append(f"{sent.wanted - sent.delivered} of {sent.wanted} detections were not delivered")
    if sent.behind_s > BEHIND_S:
        wrong.append(f"the load lagged its pace by {sent.behind_s:.1f} s: this machine is too slow to send it")
    if lost := len(seen.unanswered):
        wrong.append(f"{lost} of {len(seen.tasks)} tasks have no outcome: does a worker with the LLM scheduler run?")
    if lost := len(seen.unjoined):
        wrong.append(f"{lost} requests have no join: does a worker with the result aggregator run?")
    return wrong + _judged_too_few(seen) + _too_slow(seen, p95_limit_s)


def _judged_too_few(seen: Seen) -> list[str]:
    judged = Counter(seen.outcomes.values())["assessed"]
    if not seen.outcomes or judged >= JUDGED_SHARE * len(seen.outcomes):
        return []
    why = ", ".join(f"{count} x {reason}" for reason, count in seen.reasons.most_common(3))
    return [f"only {judged} of {len(seen.outcomes)} tasks were judged ({why}): see the keys, vision-stream keys test"]


def _too_slow(seen: Seen, limit_s: float) -> list[str]:
    rows = [each for each in latencies(seen.joins.values()) if each.stage == "end to end"]
    if not rows or rows[0].p95 <= limit_s:
        return []
    return [f"end to end P95 is {rows[0].p95:.2f} s, above {limit_s:g} s"]


def consumer(seen: Seen, within_s: float) -> list[str]:
    """What is wrong with what arrived; names the first stage that is silent."""
    ask = {
        "detection_results": "does a capture worker run? (or: --mode producer)",
        "assessment_tasks": "does a worker with the task generator run? Are there groups in the detections?",
        "risk_assessment_results": "does a worker with the LLM scheduler run, and is there a usable key?",
        "camera_assessments": "does a worker with the result aggregator run?",
    }
    unread = [f"{count} messages of {stage} cannot be read" for stage, count in seen.unreadable.items()]
    for stage in STAGES:
        if not seen.messages[stage]:
            return [*unread, f"nothing on {stage} within {within_s:g} s: {ask[stage]}"]
    return unread
