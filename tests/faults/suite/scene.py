"""A running system that rounds are played on."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.faults.harness import Auditor, Cameras, World, open_world
from tests.faults.harness.audit import Through
from tests.faults.harness.world import ROOT, Worker
from tests.faults.suite.row import Setting
from tests.faults.suite.surroundings import Surroundings, ports_of
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.broker import KafkaBroker
from vision_stream.redis_server import RedisServer
from vision_stream.server_process import ServerProcess
from vision_stream.settings import ROLES, Role, Settings
from vision_stream.simulators.llm.calls import Call

LOAD_PER_S = 22.0  # detections, of two groups each
CAMERAS = 16
READY_WITHIN_S = 120.0  # 4 s seen alone, 40 s beside ten other programs on two cores
DEADLINE_S = 300  # of a task: beyond any outage here, so that what is partial or expired is a loss
TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass
class Scene:
    """What a fault may lay its hands on."""

    setting: Setting
    settings: Settings
    directory: Path
    world: World
    kafka: KafkaBroker
    redis: RedisServer | None
    cameras: Cameras
    auditor: Auditor
    workers: dict[str, Worker]  # those that should run, by name: "a", "b", or "task_generator-a" ...
    around: Surroundings
    leaving: list[Worker] = field(default_factory=list)  # asked to end this round
    rng: random.Random = field(default_factory=random.Random)  # this round's
    events: list[str] = field(default_factory=list)  # this round's
    began: float = 0.0  # of the round, monotonic

    @property
    def llm(self) -> ServerProcess:
        return self.world.llm

    def begin(self, rng: random.Random) -> None:
        """A round."""
        self.rng, self.events, self.leaving, self.began = rng, [], [], time.monotonic()

    def event(self, text: str) -> None:
        """Say what was done, for the round's record."""
        self.events.append(f"{time.monotonic() - self.began:.1f} {text}")

    def add_worker(self, name: str, role: Role | None = None, *, version: Path = ROOT, **environ: str) -> Worker:
        """One more worker, to be started; of ``role`` alone, else a whole one. ``version`` is its tree's root."""
        roles = {"ALGO_STREAM_ROLES": role} if role else {}
        around = self.around.environ(name)
        self.workers[name] = self.world.worker(
            name,
            enter=self.around.enter(name),
            version=version,
            **dict(self.setting.environ) | around | roles | environ,
        )
        return self.workers[name]

    def remove_worker(self, name: str) -> Worker:
        """It should not run any more: the fault asks it to end, the round sees whether it does, with status 0."""
        worker = self.workers.pop(name)
        self.leaving.append(worker)
        return worker

    async def grown(self, by: int, within_s: float = 30.0) -> None:
        """Let the load bring ``by`` more detections."""
        target = len(self.cameras.taken) + by
        await eventually(lambda: len(self.cameras.taken) >= target, within_s, what=f"{by} more detections")

    async def control_llm(self, **fault: Any) -> None:
        """``control_llm(fault="429", share=0.5)``; ``fault=None`` ends all. See ``simulators.llm.faults.Fault``."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
            await http.post(f"{self.world.llm_url}/control", json=fault, raise_for_status=True)

    async def llm_calls(self) -> list[Call]:
        from vision_stream.audit.call_log import read_calls

        return list(await read_calls(self.world.llm_url))

    async def all_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """All workers that should run own partitions and read them."""
        await asyncio.gather(
            *(eventually(w.ready, within_s, every_s=0.1, what=f"{w.name} ready") for w in self.workers.values())
        )

    def groups(self) -> list[str]:
        """Ids of the workers' consumer groups."""
        if not self.setting.roles:
            return [topics.app_id(self.settings)]
        return [topics.app_id(settings) for settings in _of_each_role(self.settings)]

    def outcomes_since(self, at: float, seen: int = 0) -> Iterable[Through]:
        """Of detections sent after ``at`` (monotonic), through all stages; the first ``seen`` are passed over."""
        sent_at = self.cameras.sent_at
        return (t for t in self.auditor.through[seen:] if sent_at.get(t.detection_id, 0.0) > at)


@asynccontextmanager
async def open_scene(setting: Setting, directory: Path, seed: int) -> AsyncIterator[Scene]:
    """Brokers, LLM, workers that are ready, load and auditor; all end with the block."""
    async with AsyncExitStack() as stack:
        around = Surroundings()
        await around.bring_disks(setting, directory, stack)
        redis = await stack.enter_async_context(RedisServer()) if setting.redis else None
        kafka = await stack.enter_async_context(KafkaBroker(directory / "kafka", nodes=setting.nodes))
        settings = settings_of(setting, kafka, redis)
        for each in _of_each_role(settings) if setting.roles else (settings,):
            await topics.ensure(each)  # their changelogs and no others: the audit judges by those that are there
        world = await stack.enter_async_context(
            open_world(settings, directory, latency=setting.llm_latency, topics_made=False)
        )
        servers = (*ports_of(kafka), *ports_of(redis), int(world.llm_url.rpartition(":")[2]))
        await around.bring_apart(setting, directory, servers, stack)
        auditor = await stack.enter_async_context(Auditor(settings))
        cameras = Cameras(settings, cameras=CAMERAS, per_s=LOAD_PER_S, seed=seed)
        scene = Scene(setting, settings, directory, world, kafka, redis, cameras, auditor, workers={}, around=around)
        await _start_workers(scene)
        await stack.enter_async_context(cameras)
        yield scene


def _of_each_role(settings: Settings) -> list[Settings]:
    return [settings.model_copy(update={"stream_roles": (role,)}) for role in ROLES]


async def _start_workers(scene: Scene) -> None:
    for which in ("a", "b"):
        if scene.setting.roles:
            for role in ROLES:
                scene.add_worker(f"{role}-{which}", role)
        else:
            scene.add_worker(which)
    for worker in scene.workers.values():
        await scene.around.let_in(worker)
        await worker.start(until_ready=False)
    await scene.all_ready()


def settings_of(
    setting: Setting, kafka: KafkaBroker, redis: RedisServer | None, *, partitions: int | None = None
) -> Settings:
    """``partitions``: others than the setting's."""
    unknown = {"camera_commands"}  # to older versions
    names = set(type(Settings().kafka.topics).model_fields) - unknown
    return Settings.model_validate(
        {
            "enable_kafka_streaming": True,
            "enable_redis": redis is not None,
            "kafka": {
                "bootstrap_servers": kafka.bootstrap_servers,
                "app_id": "faults",
                "connect_timeout_s": 60.0,
                "replication_factor": setting.nodes,
                "topics": {name: {"name": name.replace("_", "-"), "partitions": setting.partitions} for name in names},
                "scheduler": {"task_deadline_s": DEADLINE_S},
            },
            "redis": {"url": redis.url} if redis else {},
            "gating": {"cooldown_s": 0},
            "monitoring": {"prometheus": {"port": 0}},
        }
    )
