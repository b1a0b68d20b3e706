"""What the demo says at its end: counts, end-to-end time, and which stage took it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from vision_stream.messages import CameraAssessment
from workers.demo.ledger import Ledger
from workers.demo.observer import Observed

STAGES = ("detect", "to task", "wait for a key", "LLM", "join", "push")


class Percentiles(Struct, frozen=True, kw_only=True):
    """Seconds; None where nothing was measured."""

    p50: float | None
    p95: float | None


class Report(Struct, frozen=True, kw_only=True):
    seconds: float
    first_boxes_s: float | None  # from the command to the first boxes pushed
    detections: int
    tasks: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    unanswered: int
    unjoined: int
    repeated_outcomes: int
    llm_calls: int | None
    pushes: dict[str, int]
    alerts: int
    detection_to_push: Percentiles
    end_to_end: Percentiles
    stage_shares: dict[str, float]  # of the mean end-to-end time; they sum up to 1
    findings: tuple[str, ...] = ()  # the auditor's

    @property
    def sound(self) -> bool:
        """Every task has its outcome and every request its join, no finding, and there was something to judge."""
        missing = self.unanswered or self.unjoined or self.findings
        return not missing and self.detections > 0 and self.tasks > 0


def report(ledger: Ledger, observed: Observed, *, started_at: float, ended_at: float, llm_calls: int | None) -> Report:
    first = observed.first_boxes_at
    return Report(
        seconds=round(ended_at - started_at, 1),
        first_boxes_s=None if first is None else round(first - started_at, 1),
        detections=observed.pushes["detection_result"],
        tasks=len(ledger.tasks),
        outcomes=ledger.by_outcome,
        reasons=ledger.reasons,
        unanswered=len(ledger.unanswered),
        unjoined=len(ledger.unjoined),
        repeated_outcomes=ledger.repeated_outcomes,
        llm_calls=llm_calls,
        pushes=dict(observed.pushes),
        alerts=len(observed.alerts),
        detection_to_push=percentiles(observed.detection_delays),
        end_to_end=percentiles(at - a.times.captured_at for at, a in observed.assessments),
        stage_shares=stage_shares(observed.assessments),
        findings=tuple(f"{f.invariant} {f.id}: {f.what}" for f in ledger.findings),
    )


def percentiles(seconds: Iterable[float]) -> Percentiles:
    """Nearest-rank percentiles.

    >>> percentiles([0.1, 0.2, 0.3, 0.4])
    Percentiles(p50=0.2, p95=0.4)
    """
    ordered = sorted(seconds)
    if not ordered:
        return Percentiles(p50=None, p95=None)
    return Percentiles(p50=_nearest_rank(ordered, 50), p95=_nearest_rank(ordered, 95))


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    return round(ordered[-(-percent * len(ordered) // 100) - 1], 3)


def stage_shares(assessments: Sequence[tuple[float, CameraAssessment]]) -> dict[str, float]:
    """Each stage's share of the mean time from capture to push, over the assessments that passed all of them."""
    rows = [row for received_at, a in assessments if (row := _stage_seconds(received_at, a)) is not None]
    if not rows:
        return {}
    means = [statistics.fmean(column) for column in zip(*rows, strict=True)]
    total = sum(means) or 1.0
    return {stage: round(mean / total, 3) for stage, mean in zip(STAGES, means, strict=True)}


def _stage_seconds(received_at: float, assessment: CameraAssessment) -> list[float] | None:
    t = assessment.times
    moments = [t.captured_at, t.detected_at, t.gated_at, t.called_at, t.answered_at, t.joined_at, received_at]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(moments):
        return None
    return [after - before for before, after in pairwise(known)]


def text(r: Report) -> str:
    """For a person at a terminal."""
    lines = [
        f"ran for                {r.seconds:.0f} s; first boxes pushed after {_seconds(r.first_boxes_s)}",
        f"detections pushed      {r.detections}; capture to push p50 {_seconds(r.detection_to_push.p50)}, "
        f"p95 {_seconds(r.detection_to_push.p95)}",
        f"assessment tasks       {r.tasks}: {_counts(r.outcomes)}",
        f"without an outcome     {r.unanswered} tasks; without a join: {r.unjoined} requests",
        f"LLM calls              {'unknown' if r.llm_calls is None else r.llm_calls}",
        f"pushed over WebSocket  {_counts(r.pushes)}",
        f"alerts                 {r.alerts}",
        f"end to end             p50 {_seconds(r.end_to_end.p50)}, p95 {_seconds(r.end_to_end.p95)}",
        f"of which               {', '.join(f'{stage} {share:.0%}' for stage, share in r.stage_shares.items())}",
    ]
    lines += [f"{'the audit found':22} {finding}" for finding in r.findings[:5]]
    lines += [f"  {count} x {reason}" for reason, count in sorted(r.reasons.items(), key=lambda i: -i[1])[:5]]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} s"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
