"""What an audit says."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

INVARIANTS = {
    "I1": "each group of a detection: skipped with a reason, or exactly one task",
    "I2": "each task: exactly one effective outcome",
    "I3": "each request: one join with the right maximum",
    "I4": "each alert: one row, one state at a time",
    "I5": "the committed offsets reach the ends",
    "I6": "nothing below the committed offset is left undone",
    "I7": "each table is the fold of its input",
    "I8": "calls per API key within its limits in every window",
    "I9": "budget counter = calls made",
    "I10": "order within each camera",
    "I11": "repeated LLM calls are known",
    "I12": "no process lives without progress",
    "I13": "cameras that a fault does not touch go on",
}


class Finding(Struct, frozen=True, kw_only=True, order=True):
    """One breach."""

    invariant: str
    id: str  # of a detection, task, request or alert; a place ``topic-partition@offset``; an API key's id
    what: str


class Report(Struct, frozen=True, kw_only=True):
    """``ok`` where nothing is found. What could not be judged is ``undecided``, and is no finding."""

    findings: tuple[Finding, ...]
    checked: dict[str, int]  # how many things were judged, by invariant
    undecided: dict[str, list[str]]  # why something could not be judged, by invariant
    counts: dict[str, int]  # messages by kind
    repeats: dict[str, int]  # the same again, as after a restart: allowed, readers know them by their ids
    pending: dict[str, int]  # under way while it was read
    reasons: dict[str, int] = {}  # why groups were skipped

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def settled(self) -> bool:
        """Nothing is under way any more."""
        return not any(self.pending.values())


class Notes:
    """A report in the making."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str, str], Finding] = {}
        self.checked: Counter[str] = Counter()
        self.undecided: dict[str, list[str]] = {}
        self.counts: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self.pending: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def find(self, invariant: str, id: str, what: str) -> None:
        self._findings[invariant, id, what] = Finding(invariant=invariant, id=id, what=what)

    def cannot(self, invariant: str, why: str) -> None:
        known = self.undecided.setdefault(invariant, [])
        if why not in known:
            known.append(why)

    def report(self) -> Report:
        found = sorted(self._findings.values(), key=lambda f: (int(f.invariant[1:]), f.id, f.what))
        return Report(
            findings=tuple(found),
            checked=dict(self.checked),
            undecided=self.undecided,
            counts=dict(self.counts),
            repeats={name: n for name, n in self.repeats.items() if n},
            pending={name: n for name, n in self.pending.items() if n},
            reasons=dict(self.reasons),
        )
