"""The log in memory. An append takes its time; a worker that dies leaves some of its appends on the way."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import defaultdict
from contextvars import Context
from typing import NamedTuple

from aiokafka.errors import RequestTimedOutError

from tests.simulation.clock import EPOCH
from vision_stream.audit import Entry

PARTITIONS = 2
Place = tuple[str, int]  # topic, partition
Headers = list[tuple[str, bytes]] | None


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
        self.done: dict[Place, frozenset[int]] = {}  # behind what is committed
        self.generation = 0
        self._rng, self.trouble = rng, trouble
        self._grown = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def partition(self, key: bytes | None) -> int:
        return zlib.crc32(key or b"") % PARTITIONS

    def append(self, place: Place, key: bytes | None, value: bytes | None, now: float, headers: Headers = None) -> None:
        entries = self.entries[place]
        entries.append(Entry(place[1], len(entries), EPOCH + now, key, value, tuple(headers or ())))
        self._grown.set()
        self._grown = asyncio.Event()

    def end(self, place: Place) -> int:
        return len(self.entries[place])

    async def grown(self) -> None:
        """Return when something was appended after the call."""
        await self._grown.wait()

    def commit(self, places: dict[Place, tuple[int, frozenset[int]]], generation: int) -> bool:
        """Offsets, and what is done behind them. A member of an older generation is refused."""
        if generation != self.generation:
            return False
        for place, (offset, done) in places.items():
            self.committed[place], self.done[place] = offset, done
        return True

    def latency(self) -> float:
        return 0.5 if self._rng.random() < self.trouble.slow else self._rng.uniform(0.001, 0.02)

    def fate(self) -> str:
        drawn = self._rng.random()
        if drawn < self.trouble.lost:
            return "lost"
        return "unheard" if drawn < self.trouble.lost + self.trouble.unheard else "arrives"


class OnTheWay(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Headers
    done: asyncio.Future[None]


class Producer:
    """One worker's: in order within a partition. What is on its way when it dies arrives up to some point; what is
    when it is frozen, arrives, or waits with it."""

    def __init__(self, log: Log, rng: random.Random) -> None:
        self._log, self._rng = log, rng
        self._loop = asyncio.get_running_loop()
        self._on_the_way: dict[Place, list[OnTheWay]] = defaultdict(list)
        self._lands: dict[Place, float] = {}
        self._held: dict[Place, int] = {}
        self.dead = False
        self.frozen = False

    async def send(self, topic: str, key: bytes | None, value: bytes | None, *_: object) -> asyncio.Future[None]:
        """As Faust's: a future that is done when the brokers have the message."""
        return self.post((topic, self._log.partition(key)), key, value)

    def post(
        self, place: Place, key: bytes | None, value: bytes | None, headers: Headers = None
    ) -> asyncio.Future[None]:
        done: asyncio.Future[None] = self._loop.create_future()
        if not self.dead:
            self._on_the_way[place].append(OnTheWay(key, value, headers, done))
            self._send(place)
        return done

    def _send(self, place: Place) -> None:
        at = max(self._lands.get(place, 0.0), self._loop.time() + self._log.latency())
        self._lands[place] = at
        self._loop.call_at(at, self._land, place, context=Context())  # it lands though its sender be frozen

    def _land(self, place: Place) -> None:
        if self.dead:
            return
        if self.frozen and (place in self._held or self._rng.random() < 0.5):
            self._held[place] = self._held.get(place, 0) + 1
            return
        sent = self._on_the_way[place].pop(0)
        fate = self._log.fate()
        if fate != "lost":
            self._append(place, sent)
        if sent.done.done():
            return
        if fate == "arrives":
            sent.done.set_result(None)
        else:
            sent.done.set_exception(RequestTimedOutError())
            sent.done.exception()  # nobody may wait for it any more

    def _append(self, place: Place, sent: OnTheWay) -> None:
        self._log.append(place, sent.key, sent.value, self._loop.time(), sent.headers)

    def thaw(self) -> None:
        self.frozen = False
        for place, waiting in self._held.items():
            for _ in range(waiting):
                self._send(place)
        self._held.clear()

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
            for sent in waiting[:there]:
                self._append(place, sent)
            if self._log.trouble.late and self._rng.random() < self._log.trouble.late:
                self._loop.call_later(self._rng.uniform(5, 12), self._arrive, place, waiting[there:])

    def _arrive(self, place: Place, late: list[OnTheWay]) -> None:
        for sent in late:
            self._append(place, sent)
