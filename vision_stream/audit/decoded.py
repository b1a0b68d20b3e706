"""The records as messages. What a worker buries is left out, as it leaves it out; see ``delivery.bury``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from vision_stream.audit.facts import INPUTS, TABLES, Entry, Facts
from vision_stream.audit.findings import Notes
from vision_stream.errors import MessageError
from vision_stream.fencing import MARKER, Fence
from vision_stream.gating import CameraGate
from vision_stream.joining import CameraResults
from vision_stream.llm.cooldowns import Cooldown
from vision_stream.messages import (
    AssessmentTask,
    CameraMessage,
    DeadLetter,
    Detection,
    GroupAssessment,
    Overdue,
    decode,
)
from vision_stream.settings import TopicsSettings

M = TypeVar("M")
KINDS: dict[str, Any] = {
    "detection_results": Detection,
    "assessment_tasks": AssessmentTask,
    "risk_assessment_results": GroupAssessment | Overdue,
    "camera_assessments": CameraMessage,
}
ROWS: dict[str, Any] = {
    "camera_state": CameraGate,
    "pending_assessments": CameraResults,
    "key_cooldowns": Cooldown,
}


class Placed(NamedTuple, Generic[M]):
    """A message and the record that it came in."""

    entry: Entry
    message: M


class Decoded:
    """Messages by our topic names, in the order of their partitions; rows of tables by table and key."""

    def __init__(self, facts: Facts, topics: TopicsSettings, notes: Notes) -> None:
        self._notes = notes
        self._buried = _buried(facts, topics)
        self.messages: dict[str, list[Placed[Any]]] = {name: self._read(name, facts) for name in INPUTS}
        self.former: dict[str, list[Entry]] = defaultdict(list)  # what former owners wrote late, by table
        self.rows: dict[str, dict[str, list[Placed[Any]]]] = {name: self._rows(name, facts) for name in TABLES}
        notes.counts["dead_letters"] += len(self._buried)

    def by_camera(self, topic: str) -> dict[str, list[Placed[Any]]]:
        found: dict[str, list[Placed[Any]]] = defaultdict(list)
        for placed in self.messages[topic]:
            found[placed.message.camera_id].append(placed)
        return found

    def _read(self, name: str, facts: Facts) -> list[Placed[Any]]:
        kept: list[Placed[Any]] = []
        wasted: list[tuple[Entry, DeadLetter]] = []
        for entry in facts.topics.get(name, ()):
            letter = self._buried.get((name, entry.partition, entry.offset))
            try:
                message = decode(entry.value, KINDS[name])
                readable = name == "assessment_tasks" or entry.key == message.camera_id.encode()
            except MessageError:
                message, readable = None, False
            if letter is None and readable:
                kept.append(Placed(entry, message))
            elif letter is None and facts.is_committed(name, entry):
                self._notes.find(
                    "I6", place(name, entry), "cannot be read, is committed, and is not in the dead letters"
                )
            elif letter is not None and readable:
                wasted.append((entry, letter))
        came_again = {placed.entry.value for placed in kept} if wasted else set()
        for entry, letter in wasted:
            if entry.value not in came_again:  # as `vision-stream dead-letters replay` brings it
                self._notes.find("I6", place(name, entry), f"could be read, and was buried: {letter.error[:200]}")
        self._notes.counts[name] += len(kept)
        return kept

    def _rows(self, name: str, facts: Facts) -> dict[str, list[Placed[Any]]]:
        found: dict[str, list[Placed[Any]]] = defaultdict(list)
        for entry in self._counting(name, facts.topics.get(name, ())):
            try:
                found[(entry.key or b"").decode()].append(Placed(entry, decode(entry.value, ROWS[name])))
            except (MessageError, UnicodeDecodeError) as error:
                self._notes.find("I7", place(name, entry), f"a row that cannot be read: {str(error)[:200]}")
        return found

    def _counting(self, name: str, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The rows that a recovery takes: neither announcements of owners, nor what a former one wrote late."""
        fences: dict[int, Fence] = defaultdict(Fence)
        for entry in entries:
            key = entry.key or b""
            if not fences[entry.partition].admits(key, entry.headers):
                self._notes.counts["rows of former owners"] += 1
                self.former[name].append(entry)
            elif key != MARKER and entry.value is not None:
                yield entry


def place(topic: str, entry: Entry) -> str:
    return f"{topic}-{entry.partition}@{entry.offset}"


def _buried(facts: Facts, topics: TopicsSettings) -> dict[tuple[str, int, int], DeadLetter]:
    ours = {getattr(topics, name).name: name for name in INPUTS}
    found = {}
    for entry in facts.topics.get("dead_letters", ()):
        try:
            letter = decode(entry.value, DeadLetter)
        except MessageError:
            continue
        found[ours.get(letter.topic, letter.topic), letter.partition, letter.offset] = letter
    return found
