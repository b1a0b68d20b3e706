"""I5: what is not committed, and for how long. A wedge is what stays so."""

from __future__ import annotations

from vision_stream.audit.decoded import place
from vision_stream.audit.facts import INPUTS, Entry, Facts
from vision_stream.audit.findings import Notes


def check_offsets(facts: Facts, notes: Notes, *, patience_s: float) -> None:
    """Args:
    patience_s: a message may be under way this long; older and not committed, its partition is wedged.
    """
    for topic in INPUTS:
        for partition, entries in _uncommitted(facts, topic).items():
            notes.checked["I5"] += 1
            end, done = facts.ends.get((topic, partition), 0), facts.committed.get((topic, partition), 0)
            if done > end > 0:
                notes.find("I5", f"{topic}-{partition}", f"committed is {done}, behind the end {end}: the log was lost")
            if not entries:
                continue
            notes.pending["uncommitted"] += len(entries)
            age_s = facts.read_at - entries[0].timestamp
            if age_s > patience_s:
                what = f"not committed {age_s:.0f} s after it came, with {len(entries) - 1} behind it"
                notes.find("I5", place(topic, entries[0]), what)


def _uncommitted(facts: Facts, topic: str) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {p: [] for t, p in (*facts.ends, *facts.committed) if t == topic}
    for entry in facts.topics.get(topic, ()):
        if not facts.is_committed(topic, entry):
            found.setdefault(entry.partition, []).append(entry)
    return found
