"""All invariants over one set of facts."""

from __future__ import annotations

from vision_stream.audit.calls import check_calls
from vision_stream.audit.cooled import check_cooldowns
from vision_stream.audit.decoded import Decoded
from vision_stream.audit.facts import Facts
from vision_stream.audit.findings import Finding, Notes, Report
from vision_stream.audit.gated import check_gate
from vision_stream.audit.joined import check_joins
from vision_stream.audit.offsets import check_offsets
from vision_stream.audit.outcomes import check_outcomes
from vision_stream.audit.progress import check_cameras, check_processes
from vision_stream.audit.pushed import check_pushes
from vision_stream.audit.spent import check_books
from vision_stream.settings import Settings

SLACK_S = 30.0  # beside a call's deadline: a rebalance, a restart, the commit interval


def check(facts: Facts, settings: Settings, *, patience_s: float | None = None, strict: bool = False) -> Report:
    """Judge a run.

    Args:
        settings: those that the workers had: the gate and the join are replayed with them.
        patience_s: how long a message may be under way; None: an LLM call's deadline and ``SLACK_S``.
        strict: a run without faults: what came twice is a finding too.
    """
    patience_s = settings.kafka.scheduler.call_deadline_s + SLACK_S if patience_s is None else patience_s
    notes = Notes()
    decoded = Decoded(facts, settings.kafka.topics, notes)
    check_gate(facts, decoded, settings, notes)
    check_outcomes(facts, decoded, notes)
    check_joins(facts, decoded, settings, notes, patience_s=patience_s)
    check_offsets(facts, notes, patience_s=patience_s)
    check_cooldowns(facts, decoded, settings, notes)
    check_calls(facts, settings, notes)
    check_books(facts, decoded, settings, notes, strict=strict)
    check_pushes(facts, decoded, notes)
    check_processes(facts, notes)
    check_cameras(facts, decoded, notes)
    if strict:
        _repeats_are_findings(notes)
    return notes.report()


def _repeats_are_findings(notes: Notes) -> None:
    for name, times in notes.repeats.items():
        if times:
            notes.find("I11", name, f"{times} came again, in a run that should repeat nothing")


__all__ = ["Finding", "check"]
