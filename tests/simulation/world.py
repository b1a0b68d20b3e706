"""Cameras, workers and what befalls them, drawn from one seed; and the audit of what came of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from tests.simulation import clock
from tests.simulation.compaction import Compaction
from tests.simulation.kafka import PARTITIONS, Log, Place, Trouble
from tests.simulation.patched import Agents, patched
from tests.simulation.worker import Worker, here
from vision_stream.audit import Facts, Report, check
from vision_stream.audit.facts import INPUTS, TABLES
from vision_stream.background import Background
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.messages import Detection, encode
from vision_stream.settings import Settings
from vision_stream.simulators.load import Load, a_detection
from vision_stream.stores.cache import MemoryCache

SESSION_S = 6.0  # until a dead worker's partitions go to others
SETTLED_WITHIN_S = 240.0
ALERTS_READ = 1000
SETTINGS = Settings.model_validate(
    {
        "gating": {"cooldown_s": 0.4, "reassess_after_s": 0.8, "reassess_high_after_s": 0.4},
        "alerts": {"resolve_after_s": 3.0},
        "kafka": {"scheduler": {"task_deadline_s": 60.0, "call_deadline_s": 20.0, "max_concurrent_tasks": 4}},
        "llm": {
            "require_picture": False,
            "cooling": {"min_cooldown": 0.5, "max_cooldown": 2.0},
            "keys": [{"id": f"key-{n}", "api_key": f"sk-sim-{n}", "max_concurrent": 2} for n in range(3)],
        },
    }
)


@dataclass(frozen=True)
class Plan:
    """What a seed does; drawn by ``Plan.of``."""

    cameras: int
    detections: int  # of each camera
    workers: int
    crashes: int
    crash_chance: float  # at each turn of the loop, while crashes are left
    freezes: int  # of a worker, some longer than its session
    stops: int  # workers that leave in order, and others that come
    trouble: Trouble
    compactions: float  # chance of one before a recovery reads a changelog

    @classmethod
    def of(cls, seed: int) -> Plan:
        rng = random.Random(f"plan {seed}")
        return cls(
            cameras=rng.randint(1, 3),
            detections=rng.randint(3, 10),
            workers=rng.randint(1, 2),
            crashes=rng.randint(0, 3),
            crash_chance=rng.choice((0.002, 0.006, 0.02)),
            stops=rng.randint(0, 2),
            trouble=Trouble(
                lost=rng.choice((0.0, 0.01)),
                unheard=rng.choice((0.0, 0.02)),
                slow=rng.choice((0.0, 0.05, 0.2)),
                late=rng.choice((0.0, 0.0, 1.0)),
            ),
            freezes=rng.randint(0, 3),
            compactions=rng.choice((0.0, 0.3, 1.0)),
        )


@dataclass(frozen=True)
class Outcome:
    seed: int
    plan: Plan
    report: Report
    events: list[str] = field(default_factory=list)  # what befell the workers, with the time
    digest: str = ""  # of all that was written: the same for the same seed
    compacted: int = 0  # records of changelogs

    @property
    def ok(self) -> bool:
        return self.report.ok and self.report.settled

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.plan}", *self.events]
        lines += [f"{f.invariant} {f.id}: {f.what}" for f in self.report.findings]
        lines += [] if self.report.settled else [f"not settled: {self.report.pending}"]
        return "\n  ".join(lines)


class World:
    def __init__(self, seed: int, plan: Plan, loop: clock.VirtualLoop, agents: Agents, settings: Settings) -> None:
        self.rng = random.Random(seed)
        self.settings, self.agents, self.tick = settings, agents.by_topic(), agents.tick()
        self.log = Log(self.rng, plan.trouble)
        chance = random.Random(f"compaction {seed}")  # of its own: a schedule is the same with it and without
        self.compaction = Compaction(self.log.entries, chance, plan.compactions)
        self.compacted = 0  # records
        self.cooldowns = MemoryCooldowns()
        self.calls: list[float] = []
        self.events: list[str] = []
        self._plan, self.loop = plan, loop
        self._workers: list[Worker] = []
        self._crashes_left, self._freezes_left = plan.crashes, plan.freezes
        self._work = Background()
        self._rebalancing = asyncio.Lock()
        self._named = 0

    async def run(self) -> tuple[Report, str]:
        """Load with all that befalls the workers, then peace until all is through; the report, and the digest."""
        for _ in range(self._plan.workers):
            await self._add()
        await self._rebalance()
        self.loop.held = _held
        self.loop.at_each_turn(self._maybe)
        await asyncio.gather(self._load(), self._comings_and_goings())
        self._crashes_left = self._freezes_left = 0
        until = self.loop.time() + SETTLED_WITHIN_S
        while not self._done() and self.loop.time() < until:  # noqa: ASYNC110  # virtual time: it costs nothing
            await asyncio.sleep(1.0)
        report, digest = self.report(), self.digest()
        for worker in self._workers:
            worker.kill()
        await self._work.close()
        return report, digest

    def _done(self) -> bool:
        """All is committed, and no request waits."""
        places = [(topic, p) for topic in INPUTS for p in range(PARTITIONS)]
        if any(self.log.committed.get(place, 0) < self.log.end(place) for place in places):
            return False
        return not len(self._work) and self.report().settled

    # Load

    async def _load(self) -> None:
        await asyncio.gather(*(self._camera(number) for number in range(self._plan.cameras)))

    async def _camera(self, number: int) -> None:
        load = Load(cameras=self._plan.cameras, fps=1, seconds=1, groups=2, session="s1")
        for sequence in range(1, self._plan.detections + 1):
            await asyncio.sleep(self.rng.uniform(0.1, 1.0))
            # A group stays for a while: the gate has something to remember.
            seen = a_detection(load, number, sequence // 5, now=clock.EPOCH + self.loop.time())
            detection = _renumbered(seen, sequence)
            key = detection.camera_id.encode()
            for _ in range(2 if self.rng.random() < 0.05 else 1):  # capture sends again what it is not sure of
                place = "detection_results", self.log.partition(key)
                self.log.append(place, key, encode(detection), self.loop.time())

    # What befalls the workers

    def _maybe(self) -> None:
        """At any turn of the loop: between any two steps of the handlers."""
        if self._crashes_left and self.rng.random() < self._plan.crash_chance:
            self._crashes_left -= 1
            self._crash()
        awake = [worker for worker in self._workers if worker.started and not worker.dead and worker.kept is None]
        recovering = [worker for worker in awake if worker.recovering]  # a short while, in which much can go wrong
        chance = self._plan.crash_chance * (10 if recovering else 1)
        if self._freezes_left and awake and self.rng.random() < chance:
            self._freezes_left -= 1
            self._work.spawn(self._freeze(self.rng.choice(recovering or awake)), name="a freeze")

    def _crash(self) -> None:
        alive = [worker for worker in self._workers if not worker.dead]
        both = self.rng.random() < 0.2
        for worker in alive if both else alive[:1]:
            self._say(f"{worker.name} is killed")
            worker.kill()
        self._work.spawn(self._after_crash(), name="after a crash")

    async def _freeze(self, worker: Worker) -> None:
        """Some wake up within their session; the others as zombies, whose partitions have new owners."""
        worker.freeze()
        self._say(f"{worker.name} is frozen")
        if self.rng.random() < 0.3:
            await asyncio.sleep(self.rng.uniform(0.1, 0.9) * SESSION_S)
        else:
            await asyncio.sleep(SESSION_S)
            if not worker.dead and not worker.expelled:
                self._say(f"{worker.name} is expelled")
                worker.expel()
                if self.rng.random() < 0.5 or not self._members():
                    await self._add()
                self._work.spawn(self._rebalance(), name="after a session's end")
            await asyncio.sleep(self.rng.choice((0.2, 2.0, 8.0)) * self.rng.random())
        if not worker.dead:
            self._say(f"{worker.name} wakes up")
            worker.thaw()

    def rejoin(self, worker: Worker) -> None:
        """It has heard that it was expelled."""
        self._say(f"{worker.name} joins again")
        Context().run(self._work.spawn, self._rebalance(), name="a rejoin")

    def compact(self, place: Place) -> None:
        readers = [worker for worker in self._workers if not worker.dead]
        read_by_all = min(worker.read_to.get(place, self.log.end(place)) for worker in readers)
        self.compacted += self.compaction.maybe(place, read_by_all)

    def _members(self) -> list[Worker]:
        return [worker for worker in self._workers if not worker.dead and not worker.expelled]

    async def _after_crash(self) -> None:
        """Another worker starts, before or after the dead one's session ends."""
        await asyncio.sleep(self.rng.uniform(0.2, SESSION_S))
        await self._add()
        await self._rebalance()

    async def _comings_and_goings(self) -> None:
        for _ in range(self._plan.stops):
            await asyncio.sleep(self.rng.uniform(0.3, 3.0))
            members = self._members()
            if members and self.rng.random() < 0.6:
                async with self._rebalancing:
                    self._say(f"{members[0].name} is stopped")
                    members[0].told = True
                    await _answer(members[0], members[0].stop())
            if self.rng.random() < 0.7 or not any(not worker.dead and not worker.told for worker in self._workers):
                await self._add()
            await self._rebalance()

    async def _add(self) -> None:
        self._named += 1
        worker = Worker(self, f"worker {self._named}")
        self._workers.append(worker)
        self._say(f"{worker.name} starts")
        await worker.start()

    async def _rebalance(self) -> None:
        async with self._rebalancing:
            await asyncio.gather(*(_answer(worker, worker.revoke()) for worker in self._members()))
            members = self._members()
            self.rng.shuffle(members)
            self.log.generation += 1
            self._say(f"generation {self.log.generation}: {', '.join(w.name for w in members) or 'nobody'}")
            for number, worker in enumerate(members):
                share = list(range(number, PARTITIONS, len(members)))
                worker.asked(worker.assign(share, self.log.generation))

    def _say(self, what: str) -> None:
        self.events.append(f"{self.loop.time():7.3f}  {what}")

    # What came of it

    def facts(self) -> Facts:
        names = (*INPUTS, *TABLES, "dead_letters")
        return Facts(
            topics={name: tuple(e for p in range(PARTITIONS) for e in self.log.entries[name, p]) for name in names},
            read_at=clock.EPOCH + self.loop.time(),
            committed=dict(self.log.committed),
            ends={(topic, p): self.log.end((topic, p)) for topic in INPUTS for p in range(PARTITIONS)},
        )

    def report(self) -> Report:
        return check(self.facts(), self.settings)

    def digest(self) -> str:
        found = hashlib.sha256()
        for place in sorted(self.log.entries):
            for entry in self.log.entries[place]:
                found.update(repr((place, entry)).encode())
        return found.hexdigest()[:16]


async def _answer(worker: Worker, work: Coroutine[Any, Any, None]) -> None:
    """Wait until a member has done what is asked of it, or is no member any more."""
    done = worker.asked(work)
    gone = worker.world.loop.create_task(worker.gone.wait())
    await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()


def _held() -> list[clock.Step] | None:
    worker = here.get(None)
    return None if worker is None else worker.kept


def _renumbered(detection: Detection, sequence: int) -> Detection:
    """The same scene as a later frame. Of its groups the last changes each time, so that it is sent beside others
    that are not, and a verdict on those can come in between."""
    session = f"{detection.camera_id}:{detection.session}"
    *others, last = detection.groups
    last = replace(last, track_ids=tuple(track + 100_000 * sequence for track in last.track_ids))
    return replace(detection, sequence=sequence, detection_id=f"{session}:{sequence}", groups=(*others, last))


def simulate(
    seed: int,
    *,
    plan: Plan | None = None,
    settings: Settings = SETTINGS,
    mutate: Callable[[Agents], AbstractContextManager[Any]] = lambda agents: nullcontext(),
) -> Outcome:
    """Run the schedule of ``seed`` to its end, and audit it.

    Args:
        mutate: changes the agents for the time, to see that what is wrong is caught.
    """
    plan = plan or Plan.of(seed)
    cache = MemoryCache(clock=lambda: 0.0)
    with patched(settings, SimpleNamespace(cache=cache)) as agents, mutate(agents):

        async def whole(loop: clock.VirtualLoop) -> Outcome:
            world = World(seed, plan, loop, agents, settings)
            report, digest = await world.run()
            return Outcome(seed, plan, report, world.events, digest, world.compacted)

        return clock.run(whole, seed)
