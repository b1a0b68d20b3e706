"""The log in memory. An append takes its time; a worker that dies leaves some of its appends on the way."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import defaultdict
from typing import NamedTuple

from aiokafka.errors import RequestTimedOutError

from tests.simulation.clock import EPOCH
from vision_stream.audit import Entry

PARTITIONS = 2
Place = tuple[str, int]  # topic, partition


class Trouble(NamedTuple):
    """How often what goes wrong, 0..1."""

    lost: float = 0.0  # an append that never arrives
    unheard: float = 0.0  # one that arrives, and whose sender is told that it did not
    slow: float = 0.05  # one that takes half a second
    late: float = 0.0  # the rest of a dead worker's, after its partitions have a new owner: as of a zombie


class Log:
    """All topics, and the group's committed offsets."""

    def __init__(self, rng: random.Random, trouble: Trouble) -> None:
        self.entries: dict[Place, list[Entry]] = defaultdict(list)
        self.committed: dict[Place, int] = {}
        self.generation = 0
        self._rng, self.trouble = rng, trouble
        self._grown = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def partition(self, key: bytes | None) -> int:
        return zlib.crc32(key or b"") % PARTITIONS

    def append(self, place: Place, key: bytes | None, value: bytes | None, now: float) -> None:
        entries = self.entries[place]
        entries.append(Entry(place[1], len(entries), EPOCH + now, key, value))
        self._grown.set()
        self._grown = asyncio.Event()

    def end(self, place: Place) -> int:
        return len(self.entries[place])

    async def grown(self) -> None:
        """Return when something was appended after the call."""
        await self._grown.wait()

    def commit(self, offsets: dict[Place, int], generation: int) -> bool:
        """A member of an older generation is refused."""
        if generation != self.generation:
            return False
        self.committed.update(offsets)
        return True

    def latency(self) -> float:
        return 0.5 if self._rng.random() < self.trouble.slow else self._rng.uniform(0.001, 0.02)

    def fate(self) -> str:
        drawn = self._rng.random()
        if drawn < self.trouble.lost:
            return "lost"
        return "unheard" if drawn < self.trouble.lost + self.trouble.unheard else "arrives"


class Producer:
    """One worker's: in order within a partition. What is on its way when it dies arrives up to some point."""

    def __init__(self, log: Log, rng: random.Random) -> None:
        self._log, self._rng = log, rng
        self._loop = asyncio.get_running_loop()
        self._on_the_way: dict[Place, list[tuple[bytes | None, bytes | None, asyncio.Future[None]]]] = defaultdict(list)
        self._lands: dict[Place, float] = {}
        self.dead = False

    async def send(self, topic: str, key: bytes | None, value: bytes | None, *_: object) -> asyncio.Future[None]:
        """As Faust's: a future that is done when the brokers have the message."""
        return self.post((topic, self._log.partition(key)), key, value)

    def post(self, place: Place, key: bytes | None, value: bytes | None) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        if not self.dead:
            self._on_the_way[place].append((key, value, done))
            at = max(self._lands.get(place, 0.0), self._loop.time() + self._log.latency())
            self._lands[place] = at
            self._loop.call_at(at, self._land, place)
        return done

    def _land(self, place: Place) -> None:
        if self.dead:
            return
        key, value, done = self._on_the_way[place].pop(0)
        fate = self._log.fate()
        if fate != "lost":
            self._log.append(place, key, value, self._loop.time())
        if done.done():
            return
        if fate == "arrives":
            done.set_result(None)
        else:
            done.set_exception(RequestTimedOutError())
            done.exception()  # nobody may wait for it any more

    async def flush(self, within_s: float) -> None:
        """Wait until nothing is on its way, at most ``within_s`` seconds."""
        until = self._loop.time() + within_s
        while any(self._on_the_way.values()) and self._loop.time() < until:  # noqa: ASYNC110  # virtual time
            await asyncio.sleep(0.01)

    def die(self) -> None:
        if self.dead:
            return
        self.dead = True
        for place, waiting in self._on_the_way.items():
            there = self._rng.randint(0, len(waiting))
            for key, value, _ in waiting[:there]:
                self._log.append(place, key, value, self._loop.time())
            if self._log.trouble.late and self._rng.random() < self._log.trouble.late:
                self._loop.call_later(self._rng.uniform(5, 12), self._arrive, place, waiting[there:])

    def _arrive(self, place: Place, late: list[tuple[bytes | None, bytes | None, asyncio.Future[None]]]) -> None:
        for key, value, _ in late:
            self._log.append(place, key, value, self._loop.time())
