"""What the auditor judges from. Nothing here is decided; see ``check``."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from vision_stream.llm.spending import DayBook
from vision_stream.messages import Alert
from vision_stream.simulators.llm.calls import Call

INPUTS = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")
TABLES = ("camera_state", "pending_assessments", "key_cooldowns")
# In this order their ends are asked for: effects before their causes, so that a live system never looks as if an
# effect had no cause.
READ = (*TABLES, "camera_assessments", "risk_assessment_results", "assessment_tasks", "detection_results")

Place = tuple[str, int]  # a topic by our name for it (``detection_results``), a partition


class Entry(NamedTuple):
    """One record."""

    partition: int
    offset: int
    timestamp: float  # epoch seconds, as the producer or broker stamped it
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class PushId(NamedTuple):
    """By what a push is known again."""

    id: str  # of a request or alert
    state: str

    def __str__(self) -> str:
        return self.state


class Push(NamedTuple):
    """A join or a state of an alert, as a session of the gateway got it."""

    id: PushId
    said_at: float  # epoch seconds; no later than its record


class Session(Struct, frozen=True, kw_only=True):
    """One connection to the gateway, subscribed to all cameras. Epoch seconds."""

    begun: float
    ended: float  # or when it was last looked at
    pushes: tuple[Push, ...]


class Look(Struct, frozen=True, kw_only=True):
    """What a process said of itself at one moment."""

    at: float  # epoch seconds
    beats: dict[str, float]  # when each of its event loops last ran
    done: float  # events handled since its start
    behind: float  # messages of its partitions that are not committed


class Books(Struct, frozen=True, kw_only=True):
    """What was spent on a day: the book of each host, as after the topics were read."""

    hosts: tuple[DayBook, ...]
    moved: bool = False  # another sum than before the topics were read: calls are under way


class Window(NamedTuple):
    """When a fault was there; epoch seconds."""

    begin: float
    end: float


class Facts(Struct, frozen=True, kw_only=True):
    """A run. ``committed`` was read first and the topics after it: what is committed has its effects in the topics."""

    topics: dict[str, tuple[Entry, ...]]  # by our names, dead_letters and changelogs too; offsets ascend by partition
    read_at: float  # epoch seconds
    begins: dict[str, float] = {}  # from when a topic is complete; absent: nothing is missing at its start
    committed: dict[Place, int] = {}  # the next offset to be handled
    ends: dict[Place, int] = {}
    calls: tuple[Call, ...] | None = None  # None: no call log was given
    alert_rows: dict[str, tuple[Alert, ...]] | None = None  # Redis's, by camera; None: not read
    sessions: tuple[Session, ...] | None = None  # of the gateway; None: none was watched
    books: dict[str, Books] | None = None  # by day, as 2026-01-31; None: not read
    looks: dict[str, tuple[Look, ...]] | None = None  # by process, in order; None: none was asked
    fault: Window | None = None
    untouched: frozenset[str] | None = None  # cameras that the fault should leave alone; None: all

    def begin(self, *topics: str) -> float:
        """From when all of ``topics`` are complete; 0.0: nothing is missing at their start."""
        return max((self.begins.get(topic, 0.0) for topic in topics), default=0.0)

    def is_committed(self, topic: str, entry: Entry) -> bool:
        return entry.offset < self.committed.get((topic, entry.partition), 0)
