"""The auditor: what became of every message of a run, by content, with ids.

    facts     what was read: the topics' records, changelogs, committed offsets, the LLM's call log, Redis's alert rows
    reader    reads them from Kafka and Redis, without a consumer group
    decoded   the records as messages, and what cannot be read
    gated     I1, I6, I7, I10: the gate replayed, row by row, along the camera_state changelog
    outcomes  I2, I11: each task and its outcomes
    joined    I3, I4, I6, I7: the join folded anew over the outcomes, compared with what was sent and what was kept
    offsets   I5: what is not committed, and for how long
    calls     I8: the calls of each API key in every window
    check     all of it: ``check(facts, settings)`` gives a ``Report``

Pure but for ``reader`` and ``call_log``: a test or a simulation brings its own facts. Faust is not needed.
What each invariant is judged by, and which ones cannot be judged from the outside, is in ``docs/audit.md``.
"""

from vision_stream.audit.check import check
from vision_stream.audit.facts import Entry, Facts
from vision_stream.audit.findings import Finding, Report

__all__ = ["Entry", "Facts", "Finding", "Report", "check"]
