"""One run: load, a fault every few minutes, samples every ten seconds, an audit after each fault and at the end."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.harness.world import ROOT
from tests.soak import samples
from tests.soak.auditing import audit
from tests.soak.faults import FAULTS, WORKERS, Misbehaved
from tests.soak.journal import Journal
from tests.soak.ledger import Ledger
from tests.soak.stage import Stage, open_stage
from tests.soak.tail import Tail
from tests.soak.traffic import Traffic
from tests.soak.viewers import Viewer
from tests.waiting import eventually
from vision_stream.background import Background

CAMERAS = 50
SAMPLED_EVERY_S = 10.0
THROUGH_WITHIN_S = 90.0  # after a fault; three times a task's deadline
JITTER_S = 20.0  # of a fault's moment
SETTLED_WITHIN_S = 120.0  # at the end, with the load gone
AUDITED_S = 300.0  # before the end; compaction has not taken rows of the tables yet


@dataclass(frozen=True)
class Plan:
    minutes: float
    per_s: float  # detections
    every_s: float  # between two faults
    seed: int
    warm_up_s: float  # of a process's life, before its memory says something


async def soak(plan: Plan, directory: Path) -> None:
    """Run it all; what was seen is in the journal, also where the run is cut off."""
    journal = Journal(directory)
    try:
        journal.write("began", **vars(plan), commit=_commit(), machine=_machine())
        async with open_stage(directory, journal) as stage:
            await asyncio.gather(*(stage.start(name) for name in WORKERS))
            stage.watched = set(WORKERS)
            await _Run(plan, stage, journal).run()
    finally:
        journal.close()


class _Run:
    def __init__(self, plan: Plan, stage: Stage, journal: Journal) -> None:
        self._plan, self._stage, self._journal = plan, stage, journal
        self._ledger = Ledger()
        self._traffic = Traffic(stage.settings, self._ledger.sending, cameras=CAMERAS, per_s=plan.per_s, seed=plan.seed)
        half = [f"load-{number:04}" for number in range(1, CAMERAS // 2 + 1)]
        self._viewers = {"of all cameras": Viewer("*"), "of half of them": Viewer(half)}
        self._rng = random.Random(plan.seed)
        self._told = 0  # findings that are in the journal

    async def run(self) -> None:
        background = Background()
        try:
            async with Tail(self._stage.settings, self._ledger) as tail, self._traffic:
                url = self._stage.gateway_url.replace("http", "ws", 1) + "/ws"
                for name, viewer in self._viewers.items():
                    background.spawn(viewer.watch(url), name=f"viewer {name}")
                background.spawn(self._stage.watch(), name="supervisor")
                background.spawn(self._sample(tail), name="samples")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._plan.minutes * 60):
                        await self._faults()
                await self._traffic.stop()
                self._journal.write("load ended", sent=self._traffic.sent)
                await self._end(tail)
        finally:
            await background.close()

    async def _faults(self) -> None:
        due = time.monotonic() + self._plan.every_s
        for name in itertools.cycle(FAULTS):
            jitter_s = self._rng.uniform(0, min(JITTER_S, self._plan.every_s / 4))
            await asyncio.sleep(max(0.0, due + jitter_s - time.monotonic()))
            await self._fault(name)
            due += self._plan.every_s

    async def _fault(self, name: str) -> None:
        _, _, fault = FAULTS[name]
        before, began, wrong = self._ledger.counts.copy(), time.time(), ""
        self._journal.write("fault began", name=name)
        try:
            over = await fault(self._stage)
        except Misbehaved as error:
            over, wrong = time.time(), str(error)
        mark = self._ledger.begin_recovery(over)
        with suppress(AssertionError):
            await eventually(lambda: not self._ledger.open_before(over), THROUGH_WITHIN_S, every_s=0.2)
        left = self._ledger.open_before(over)
        settled_s = time.time() - over if not left else None
        with suppress(AssertionError):
            await eventually(lambda: mark.all_s is not None, THROUGH_WITHIN_S, every_s=0.2)
        again = self._ledger.counts - before
        self._journal.write(
            "fault",
            name=name,
            began=began,
            over=over,
            first_s=mark.first_s,
            all_s=mark.all_s,
            settled_s=settled_s,
            wrong=wrong or (f"not through {THROUGH_WITHIN_S:g} s after it: {left}" if left else ""),
            llm_calls_again=again["LLM calls again"],
        )

    async def _sample(self, tail: Tail) -> None:
        while True:
            self._ledger.sweep(time.time())
            await self._write_sample(tail)
            await asyncio.sleep(SAMPLED_EVERY_S - time.time() % SAMPLED_EVERY_S)

    async def _write_sample(self, tail: Tail) -> None:
        for taken in await samples.processes(self._stage):
            self._journal.write("sample", **taken)
        self._journal.write(
            "state",
            **await samples.stores(self._stage, tail),
            counts=self._ledger.counts,
            sent=self._traffic.sent,
            under_way=self._ledger.under_way,
            viewers={name: viewer.counts for name, viewer in self._viewers.items()},
        )
        if new := self._ledger.findings[self._told :]:
            self._told += len(new)
            self._journal.write("findings", new=new)
        if tail.failures:
            self._journal.write("auditor failed", error=repr(tail.failures[-1]))

    async def _end(self, tail: Tail) -> None:
        with suppress(AssertionError):
            await eventually(lambda: not self._ledger.under_way, SETTLED_WITHIN_S, every_s=0.5)
        lag = await self._all_committed(tail)
        left = self._ledger.open_before(float("inf"))
        await self._write_sample(tail)
        self._journal.write("audit", **await audit(self._stage, since=f"{AUDITED_S:g}s"))
        self._journal.write("ended run", settled=not left and lag is not None and not any(lag.values()),
                            open=left, lag=lag)  # fmt: skip

    async def _all_committed(self, tail: Tail) -> dict[str, int] | None:
        lag: dict[str, int] | None = None

        async def none() -> bool:
            nonlocal lag
            lag = await tail.lag()
            return lag is not None and not any(lag.values())

        with suppress(AssertionError):
            await eventually(none, 30, every_s=1.0)
        return lag


def _commit() -> str:
    found = subprocess.run(("git", "rev-parse", "--short", "HEAD"), cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def _machine() -> str:
    return f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB"
