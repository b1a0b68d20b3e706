"""F16: an old and a new version together, more partitions, and a crash in the middle of a table's recovery."""

from __future__ import annotations

import asyncio
import random

from tests.faults.harness.world import Worker, environ_of
from tests.faults.suite.row import Row, Setting
from tests.faults.suite.scene import Scene, settings_of
from tests.faults.tools import versions
from tests.waiting import eventually
from vision_stream import topics

MORE_PARTITIONS = 32


async def two_versions(scene: Scene, rng: random.Random) -> None:
    """One worker goes back to the older version, works beside the new one, and is brought up to date again."""
    commit, tree = await versions.older(scene.directory)
    scene.event(f"b runs {commit}")
    new = scene.workers["b"]
    await _end(new)
    old = scene.workers["b"] = scene.world.worker(f"b-{commit}", version=tree)
    try:
        await old.start()
        await scene.grown(rng.randint(40, 100))
        await _end(old)
    finally:
        old.kill()
        scene.workers["b"] = new
        await new.start(until_ready=False)


async def _end(worker: Worker) -> None:
    status = await worker.terminate()
    assert status == 0, f"{worker.name} ended with {status}:\n{worker.process.tail(40)}"


async def crash_in_recovery(scene: Scene, rng: random.Random) -> None:
    """Killed, and killed again, up to three times, when it has its partitions or is about to have their tables."""
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    worker.kill()
    for _ in range(rng.randint(1, 3)):
        await worker.start(until_ready=False)
        await eventually(worker.stats, 30, every_s=0.05, what=f"{worker.name} answers")
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        scene.event(f"{worker.name} killed {'ready' if await worker.ready() else 'before it was ready'}")
        worker.kill()
    await worker.start(until_ready=False)


async def more_partitions(scene: Scene, rng: random.Random) -> None:
    """As documented: with the workers stopped. The cameras go on, and learn of the new partitions when they like."""
    await asyncio.gather(*map(_end, scene.workers.values()))
    # A request of which one group was joined before and the other after ends at its deadline, as partial.
    scene.auditor.may_be_partial |= scene.auditor.unjoined(scene.cameras.taken)
    scene.settings = settings_of(scene.setting, scene.kafka, scene.redis, partitions=MORE_PARTITIONS)
    await topics.ensure(scene.settings, raise_partitions=True)
    environ_of(scene.settings, scene.directory, int(scene.world.llm_url.rpartition(":")[2]))  # writes the files anew
    await scene.auditor.follow(scene.settings)
    for worker in scene.workers.values():
        await worker.start(until_ready=False)


RAISED = Setting(
    environ=(("ALGO_KAFKA_SCHEDULER_TASK_DEADLINE_S", "30"), ("ALGO_KAFKA_SCHEDULER_CALL_DEADLINE_S", "25")),
    private=True,
)
ROWS = (
    Row(
        "F16.versions",
        "An older version beside the new one, there and back",
        two_versions,
        10.0,
        about_s=30.0,
        missing=versions.missing,
    ),
    Row("F16.recovery", "A worker killed while its tables are recovered", crash_in_recovery, 10.0, about_s=25.0),
    Row(
        "F16.partitions",
        "Partitions raised from 4 to 32, the workers stopped for it and the cameras not",
        more_partitions,
        30.0,  # two workers recover 64 partitions of tables
        RAISED,
        about_s=60.0,
    ),
)
