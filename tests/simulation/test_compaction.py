"""What a recovery finds after the brokers' cleaner has been there: the right rows, whoever wrote late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

import pytest

from tests.simulation.compaction import Compaction
from tests.simulation.kafka import Place
from vision_stream.audit import Entry
from vision_stream.delivery.ownership import mend
from vision_stream.delivery.tenure import Tenure
from vision_stream.fencing import MARKER, MARKER_VALUE, Epoch

PLACE: Place = ("camera_state", 0)
FIRST, SECOND = Epoch(1, 1), Epoch(2, 2)


class Changelog:
    """Of one partition."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.compaction = Compaction({PLACE: self.entries}, random.Random(1), chance=1.0)

    def append(self, owner: Epoch, key: bytes, value: bytes | None) -> None:
        self.entries.append(Entry(0, len(self.entries), 0.0, key, value, tuple(owner.headers())))

    def announce(self, owner: Epoch) -> None:
        self.append(owner, MARKER, MARKER_VALUE)

    def compact(self) -> None:
        """To its end, as far as it may."""
        for _ in range(20):
            self.compaction.maybe(PLACE, read_by_all=len(self.entries))

    def left(self) -> list[Entry]:
        return list(self.compaction.left(PLACE, 0, len(self.entries)))


def recovered(entries: Iterable[Entry], log: Changelog, owner: Epoch) -> tuple[dict[bytes, bytes], Tenure[None]]:
    """The rows that ``owner`` reads; what it writes again goes to ``log``."""
    rows: dict[bytes, bytes] = {}
    tenure = Tenure(lambda: rows, lambda partition, key, value, headers: log.append(owner, key, value))
    for entry in entries:
        if tenure.takes(0, entry.key or b"", entry.headers):
            rows.pop(entry.key or b"", None)
            if entry.value is not None:
                rows[entry.key or b""] = entry.value
    return rows, tenure


@pytest.fixture
def late() -> Changelog:
    """The first owner wrote another row after the second had announced itself."""
    log = Changelog()
    log.announce(FIRST)
    log.append(FIRST, b"cam-01", b"right")
    log.announce(SECOND)
    log.append(FIRST, b"cam-01", b"late")
    return log


def keys_and_values(entries: Sequence[Entry]) -> list[tuple[bytes | None, bytes | None]]:
    return [(entry.key, entry.value) for entry in entries]


def test_of_each_key_the_last_record_is_left():
    log = Changelog()
    log.announce(FIRST)
    for value in (b"old", b"new"):
        log.append(FIRST, b"cam-01", value)
        log.append(FIRST, b"cam-02", value)
    log.compact()
    assert keys_and_values(log.left()) == [(MARKER, MARKER_VALUE), (b"cam-01", b"new"), (b"cam-02", b"new")]


def test_a_tombstone_goes_once_all_have_read_it():
    log = Changelog()
    log.append(FIRST, b"cam-01", b"row")
    log.append(FIRST, b"cam-01", None)
    log.compaction.maybe(PLACE, read_by_all=0)
    log.compaction.maybe(PLACE, read_by_all=0)
    assert log.left()[-1].value is None
    log.compact()
    assert log.left() == []


def test_a_late_row_that_nobody_has_mended_takes_the_right_one_from_nobody(late: Changelog):
    late.compact()
    rows, _ = recovered(late.left(), late, SECOND)
    assert rows == {b"cam-01": b"right"}


def test_a_late_row_that_was_mended_leaves_the_right_one_for_whoever_recovers_next(late: Changelog):
    _, tenure = recovered(late.left(), late, SECOND)
    asyncio.run(mend(tenure, 0))
    late.compaction.mended(PLACE, len(late.entries))
    late.compact()
    assert (b"cam-01", b"late") not in keys_and_values(late.left())
    rows, _ = recovered(late.left(), late, Epoch(3, 3))
    assert rows == {b"cam-01": b"right"}


def test_a_mending_that_is_left_out_would_lose_the_row(late: Changelog):
    late.compaction.mended(PLACE, len(late.entries))
    late.compact()
    rows, _ = recovered(late.left(), late, Epoch(3, 3))
    assert rows != {b"cam-01": b"right"}
