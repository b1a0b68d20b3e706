"""Rounds of an audit: all that is asked, and judged. Between two rounds nothing of the topics is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from vision_stream.audit.asking import Asking
from vision_stream.audit.book_files import read_books
from vision_stream.audit.call_log import read_calls
from vision_stream.audit.check import check
from vision_stream.audit.facts import Books, Facts, Session, Window
from vision_stream.audit.findings import Report
from vision_stream.audit.reader import read
from vision_stream.audit.viewing import Viewing
from vision_stream.background import Background
from vision_stream.errors import DependencyError
from vision_stream.llm.spending import DayBook
from vision_stream.settings import Settings
from vision_stream.simulators.llm.calls import Call

HostBooks = Mapping[str, tuple[DayBook, ...]]  # by day
LET_IN_WITHIN_S = 10.0
LIMITS_REACH_S = 60.0  # back from the first call that is judged


@dataclass(frozen=True)
class Sources:
    """Where to ask beside the topics; empty: not asked, and not judged."""

    llm_calls: str = ""  # file or URL
    gateway: str = ""  # URL
    processes: tuple[str, ...] = ()  # URLs of their metrics
    books: tuple[Path, ...] = ()  # a directory a host
    fault: Window | None = None
    untouched: frozenset[str] | None = None  # cameras; None: all


class Rounds:
    """``async with Rounds(...) as rounds``: the gateway and the processes are watched from then on.

    Args:
        kept_s: for how long the gateway's pushes are remembered: as long as a round looks back.
    """

    def __init__(self, settings: Settings, sources: Sources, *, strict: bool = False, kept_s: float = 3600.0) -> None:
        self._settings, self._sources, self._strict = settings, sources, strict
        self._viewing = Viewing(kept_s) if sources.gateway else None
        self._asking = Asking(sources.processes) if sources.processes else None
        self._work = Background()

    async def __aenter__(self) -> Rounds:
        if self._viewing is not None:
            token = self._settings.gateway.token
            secret = token.get_secret_value() if token is not None else None
            self._work.spawn(self._viewing.watch(self._sources.gateway, secret), name="gateway session")
        if self._asking is not None:
            self._work.spawn(self._asking.watch(), name="processes")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._work.close()

    async def report(self, since: float) -> Report:
        """One round.

        Raises:
            DependencyError: Kafka, or what else was named, does not answer.
        """
        before = await self._books()
        sessions = await self._sessions()
        facts = await read(self._settings, since=since)
        after = await self._books()
        facts = replace(
            facts,
            calls=await self._calls(since),
            sessions=sessions,
            books=None if after is None else _compared(before or {}, after),
            looks=None if self._asking is None else self._asking.looks(),
            fault=self._sources.fault,
            untouched=self._sources.untouched,
        )
        return await asyncio.to_thread(self._judged, facts)

    def _judged(self, facts: Facts) -> Report:
        return check(facts, self._settings, strict=self._strict)

    async def _sessions(self) -> tuple[Session, ...] | None:
        if self._viewing is None:
            return None
        if not await self._viewing.let_in(LET_IN_WITHIN_S):
            raise DependencyError(
                f"the gateway let nobody in: {self._viewing.refused}",
                remedy="see whether --gateway and gateway.token are right",
            )
        return self._viewing.sessions(time.time())

    async def _calls(self, since: float) -> tuple[Call, ...] | None:
        if not self._sources.llm_calls:
            return None
        return await read_calls(self._sources.llm_calls, since=max(0.0, since - LIMITS_REACH_S))

    async def _books(self) -> HostBooks | None:
        if not self._sources.books:
            return None
        return await asyncio.to_thread(read_books, self._sources.books, time.time())


def _compared(before: HostBooks, after: HostBooks) -> dict[str, Books]:
    def total(books: Sequence[DayBook]) -> float:
        return sum(book.total for book in books)

    return {day: Books(hosts=hosts, moved=total(hosts) != total(before.get(day, ()))) for day, hosts in after.items()}
