"""One worker of the group: the agents as they are, on the log in memory."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextvars import ContextVar, copy_context
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from faust.types.tuples import TP, ConsumerMessage

from tests.simulation.clock import Step
from tests.simulation.kafka import PARTITIONS, Headers, Place, Producer
from vision_stream.audit.facts import TABLES
from vision_stream.background import Background
from vision_stream.delivery import KeyLocks, OffsetLedger, Outbox, changelog
from vision_stream.delivery.consumer import DRAIN_S
from vision_stream.delivery.ownership import announce, mend
from vision_stream.delivery.record import handled
from vision_stream.delivery.stage import Stage
from vision_stream.delivery.tenure import Tenure
from vision_stream.llm.chat import Answer, Request
from vision_stream.llm.client import Sent, unheard
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.outliving import Outliving
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import GroupAssessment
from vision_stream.settings import KeySettings
from vision_stream.stores.evidence import MemoryEvidence

if TYPE_CHECKING:
    from tests.simulation.world import World

COMMIT_EVERY_S = 1.0
FLUSH_S = 5.0  # as `vision_stream.app` has it
TICK_EVERY_S = 1.0
HEARTBEAT_S = 2.0
here: ContextVar[Worker] = ContextVar("here")  # the worker that a task belongs to
VERDICT = '{"risk_level":"%s","confidence":0.8,"risk_types":["collision"],"description":"d","trigger_object_ids":[]}'


class Worker:
    """What the agents' modules use of Faust's app, and a consumer's part of the rebalance."""

    rebalancing = False

    def __init__(self, world: World, name: str) -> None:
        self.name, self.world, self.log = name, world, world.log
        self.settings = world.settings
        self.ledger: OffsetLedger[TP] = OffsetLedger()
        self.stages: dict[str, Stage] = {}
        self.locks = KeyLocks()
        self.ticked: dict[Any, float] = {}
        self.tables: dict[str, dict[bytes, bytes]] = {name: {} for name in TABLES}
        self.tenures = {
            name: Tenure(partial(self.tables.__getitem__, name), partial(self._post, name)) for name in TABLES
        }
        self.producer = Producer(self.log, world.rng)
        self.dead_letters = Outbox(self, "dead_letters")  # pyright: ignore[reportArgumentType]
        self.started = self.dead = self.recovering = False
        self.told = False  # to end; while it is frozen it does not hear
        self.kept: list[Step] | None = None  # its tasks' steps while it is frozen
        self.expelled = False  # from the group, and does not know yet
        self.gone = asyncio.Event()  # dead or expelled: nobody waits for it
        self._own = Background()  # agents and timers, as long as it lives
        self._asked = Background()  # what the group asks of it
        self._readers = Background()  # as long as a generation
        self._turn = asyncio.Lock()
        self._streams: dict[str, Stream] = {}
        self._owned: list[int] = []
        self.read_to: dict[Place, int] = {}  # of the changelogs
        self.generation = -1

    async def start(self) -> None:
        """Open what it needs, and let the agents wait for messages."""
        token = here.set(self)
        try:
            self.scheduler = LLMScheduler(
                self.settings.llm,
                self.settings.kafka.scheduler,
                MemoryEvidence(),
                self.world.cooldowns,
                client=lambda: Client(self.world.rng, self.world.calls),
            )
            self.calls = Outliving[GroupAssessment](self.scheduler.calling)
            await self.scheduler.start()
            for topic, agent in self.world.agents.items():
                self._streams[topic] = stream = Stream(self, topic)
                self._spawn(agent.fun(stream), f"agent {topic}")
            self._spawn(self._every(COMMIT_EVERY_S, self.commit), "commit")
            self._spawn(self._every(TICK_EVERY_S, self.world.tick), "tick")
            self._spawn(self._heartbeat(), "heartbeat")
            self.started = True
        finally:
            here.reset(token)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        self._own.spawn(work, name=f"{self.name} {name}")

    async def _every(self, seconds: float, act: Any) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self._owned:
                await act()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self.expelled:
                self.expelled = False
                self.gone.clear()
                self.world.rejoin(self)

    # What a stage and the agents ask of the app

    def stage(self, name: str, *, in_flight: int, span: int) -> Stage:
        if name not in self.stages:
            self.stages[name] = Stage(self, name, in_flight, span)  # pyright: ignore[reportArgumentType]
        return self.stages[name]

    def owns(self, name: str, camera_id: str) -> bool:
        return TP(name, self.log.partition(camera_id.encode())) in self.ledger

    # A rebalance, as Kafka's eager protocol has it

    def asked(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something here, and not where it is asked for: a frozen worker does nothing."""
        context = copy_context()
        context.run(here.set, self)
        return context.run(self._asked.spawn, work, name=f"{self.name} asked")

    async def revoke(self) -> None:
        """Let the running work end, for a bounded time; commit; close the books."""
        async with self._turn:
            await self._readers.close()
            self.recovering = False
            for stream in self._streams.values():
                stream.clear()
            await asyncio.gather(*(stage.settle(DRAIN_S) for stage in self.stages.values()))
            await self.commit()
            await self.producer.flush(FLUSH_S)
            self.ledger.close(list(self.ledger))
            self._owned = []
            for stage in self.stages.values():
                stage.forget()

    async def assign(self, partitions: list[int], generation: int) -> None:
        """Take the partitions over, and read on; ended by the next rebalance."""
        async with self._turn:
            self.recovering = True
            self._readers.spawn(self._take_over(partitions, generation), name=f"{self.name} recovery")

    async def _take_over(self, partitions: list[int], generation: int) -> None:
        """As ``FencedRecovery`` does: recover, announce, recover up to that; then read from the committed offsets."""
        places = [(name, partition) for name in TABLES for partition in partitions]
        self.read_to = {place: at for place, at in self.read_to.items() if place in places}
        while True:
            for place in places:
                await self._recover(place)
            others = [(name, p) for name, p in places if not self.tenures[name].owned(p)]
            if not others:
                break
            lost = [(name, p) for name, p in others if self.tenures[name].lost(p)]
            for place in lost:
                del self.read_to[place]
            unclaimed = [(self.tenures[name], p) for name, p in others if (name, p) not in lost]
            await announce(unclaimed, generation, self._is_member)
        for name, partition in places:
            await mend(self.tenures[name], partition)
        if not self.expelled and generation == self.log.generation:
            for place in places:
                self.world.compaction.mended(place, self.read_to[place])
        self._owned, self.generation, self.recovering = partitions, generation, False
        for topic, stream in self._streams.items():
            for partition in partitions:
                at, done = self.log.committed.get((topic, partition), 0), self.log.done.get((topic, partition), ())
                self.ledger.open(TP(topic, partition), generation, at, done)
                self._readers.spawn(self._read(stream, (topic, partition), at), name=f"{self.name} {topic}")

    async def _recover(self, place: Place) -> None:
        name, partition = place
        rows, tenure = self.tables[name], self.tenures[name]
        if place not in self.read_to:
            tenure.forget(partition)
        end = self.log.end(place)
        await asyncio.sleep(self.world.rng.uniform(0.005, 0.1))
        self.world.compact(place)
        for entry in self.world.compaction.left(place, self.read_to.get(place, 0), end):
            key = entry.key or b""
            if tenure.takes(partition, key, entry.headers):
                rows.pop(key, None)
                if entry.value is not None:
                    rows[key] = entry.value
        self.read_to[place] = end

    async def _is_member(self, generation: int) -> bool:
        await asyncio.sleep(self.log.latency())
        answer = not self.expelled and generation == self.log.generation
        await asyncio.sleep(self.log.latency())
        return answer

    def _post(
        self, name: str, partition: int, key: bytes, value: bytes | None, headers: Headers
    ) -> asyncio.Future[None]:
        send: Any = partial(self.producer.post, (name, partition), key, value, headers)
        return changelog.collect(send)  # pyright: ignore[reportReturnType]

    async def _read(self, stream: Stream, place: Place, at: int) -> None:
        await asyncio.sleep(self.world.rng.choice((0.0, 0.1, 0.5)))  # which topic comes first, no one says
        while True:
            while at < self.log.end(place):
                entry = self.log.entries[place][at]
                stream.put(Event(place, self.generation, at, entry.key, entry.value, entry.timestamp))
                at += 1
            await self.log.grown()
            await asyncio.sleep(self.world.rng.uniform(0.0, 0.01))

    async def commit(self) -> None:
        books = {(tp.topic, tp.partition): self.ledger[tp] for tp in self.ledger}
        places = {place: (ledger.committable, ledger.done) for place, ledger in books.items()}
        await asyncio.sleep(self.log.latency())
        if not self.dead and not self.expelled and places:
            self.log.commit(places, self.generation)

    # Ends

    def freeze(self) -> None:
        """As SIGSTOP, at whatever it waits for."""
        self.kept, self.producer.frozen = [], True

    def thaw(self) -> None:
        kept, self.kept = self.kept or [], None
        self.producer.thaw()
        self.world.loop.go_on(kept)

    def expel(self) -> None:
        """Its session is over."""
        self.expelled = True
        self.gone.set()

    def kill(self) -> None:
        """As SIGKILL: nothing that it does from now on has an effect. The end of its tasks is only tidiness."""
        self.dead = True
        self.gone.set()
        self.producer.die()
        if self.kept is not None:
            self.thaw()
        stages = (stage._work for stage in self.stages.values())
        for work in (self._own, self._asked, self._readers, self.calls._background, *stages):
            for task in list(work._tasks):
                task.cancel()

    async def stop(self) -> None:
        """As SIGTERM: leave in order."""
        await self.revoke()
        await self._own.close()
        await self.calls.close()
        await self.scheduler.close()
        self.dead = True
        self.gone.set()


class Event:
    def __init__(
        self, place: Place, generation: int, offset: int, key: bytes | None, value: bytes | None, at: float
    ) -> None:
        self.message = ConsumerMessage(
            place[0], place[1], offset, at, 0, [], key, value, None, tp=TP(*place), generation_id=generation
        )


class Stream:
    """What an agent gets of Faust."""

    def __init__(self, worker: Worker, topic: str) -> None:
        self.app = worker
        self.channel = SimpleNamespace(topics=[topic])
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        self._queue.put_nowait(event)

    def clear(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self._queue.get()

    async def ack(self, event: Event) -> None:
        """The ledger knows; see ``Consumer.ack``."""


class Table:
    """A table's rows in this task's worker; a change goes to the changelog, as ``delivery.changelog`` has it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _rows(self) -> dict[bytes, bytes]:
        return here.get().tables[self._name]

    def get(self, key: bytes) -> bytes | None:
        return self._rows().get(key)

    def __iter__(self) -> Any:
        return iter(self._rows())

    def __getitem__(self, key: bytes) -> bytes:
        return self._rows()[key]

    def __setitem__(self, key: bytes, row: bytes) -> None:
        self._rows()[key] = row
        record = handled.get()
        assert record is not None
        assert changelog._changes.get() is not None
        here.get().tenures[self._name].write(record.partition, key, row)


class Client:
    """The LLM: judges by the prompt's hash, after a while; fails now and then."""

    def __init__(self, rng: random.Random, calls: list[float]) -> None:
        self._rng, self._calls = rng, calls

    async def complete(self, key: KeySettings, request: Request, *, timeout_s: float, sent: Sent = unheard) -> Answer:
        sent()
        self._calls.append(time.time())
        await asyncio.sleep(min(self._rng.choice((0.05, 0.3, 1.0, 4.0)) * self._rng.uniform(0.5, 1.5), timeout_s))
        if self._rng.random() < 0.05:
            raise CallFailed("server", "HTTP 500")
        number = hashlib.sha256(request.prompt.facts.encode()).digest()[0]
        content = VERDICT % ("none", "low", "medium", "high")[number % 4]
        return Answer(content=content, model="sim", finish_reason="stop", input_tokens=1, output_tokens=1)

    async def close(self) -> None:
        pass


__all__ = ["PARTITIONS", "Table", "Worker", "here"]
