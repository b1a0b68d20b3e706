"""The auditor: what became of every message of a run, by content, with ids.

    rounds    a round: all that is asked, and judged
    reader    reads Kafka and Redis, without a consumer group
    call_log, book_files, viewing, asking    the same for calls, budgets, the gateway's pushes, processes
    facts     what was read: the topics' records, changelogs, committed offsets, and what was asked beside them
    decoded   the records as messages, and what cannot be read
    gated     I1, I6, I7, I10: the gate replayed, row by row, along the camera_state changelog
    outcomes  I2, I11: each task and its outcomes
    joined    I3, I4, I6, I7: the join folded anew over the outcomes, compared with what was sent and what was kept
    cooled    I7: what is known of the API keys, merged anew
    offsets   I5: what is not committed, and for how long
    calls     I8: the calls of each API key in every window
    spent     I9: the books of the budget
    pushed    I4: what sessions of the gateway were pushed
    progress  I12, I13: processes and cameras that stand
    check     all of it: ``check(facts, settings)`` gives a ``Report``

Pure from ``facts`` on: a test or a simulation brings its own facts. Faust is not needed.
What each invariant is judged by, and which ones cannot be judged from the outside, is in ``docs/audit.md``.
"""

from vision_stream.audit.check import check
from vision_stream.audit.facts import Entry, Facts
from vision_stream.audit.findings import Finding, Report

__all__ = ["Entry", "Facts", "Finding", "Report", "check"]
