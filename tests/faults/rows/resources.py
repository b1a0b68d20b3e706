"""F13 to F15: a disk that fills, a clock that steps, descriptors and memory that run out."""

from __future__ import annotations

import asyncio
import random
import time

from tests.faults.harness.world import Worker
from tests.faults.rows.poison import message, of_size, send, sender
from tests.faults.suite.row import Row, Setting
from tests.faults.suite.scene import Scene
from tests.faults.suite.surroundings import APART, SPECIAL
from tests.faults.tools.disk import KIB, SmallDisk
from tests.faults.tools.limits import few_descriptors, little_memory
from tests.waiting import eventually

HOUR_S = 3600.0
MIB = 1 << 20
LARGE_BYTES = 900_000


# -- F13


async def brokers_disk(scene: Scene, rng: random.Random) -> None:
    """Kafka ends when it cannot write; with room again, its supervisor starts it."""
    disk = _disk(scene.around.broker_disk)
    disk.fill(leave_bytes=rng.randint(0, 256) * KIB)
    try:
        await eventually(lambda: disk.free_bytes() < 4 * KIB or not scene.kafka.running, 30, what="the disk is full")
        await asyncio.sleep(rng.uniform(1.0, 4.0))
    finally:
        disk.free()
    scene.event("freed; Kafka " + ("runs still" if scene.kafka.running else "has ended"))
    await scene.kafka.restart()


async def workers_disk(scene: Scene, rng: random.Random) -> None:
    """One worker starts anew while the disk is full."""
    disk = _disk(scene.around.data_disk)
    disk.fill()
    try:
        await asyncio.sleep(rng.uniform(0.5, 2.0))
        worker = scene.workers[rng.choice(sorted(scene.workers))]
        worker.kill()
        await worker.start(until_ready=False)
        await asyncio.sleep(rng.uniform(2.0, 5.0))
        disk.fill()
    finally:
        disk.free()
    await _started_where_ended(scene)


def _disk(disk: SmallDisk | None) -> SmallDisk:
    assert disk is not None
    return disk


# -- F14


async def clock_steps(scene: Scene, rng: random.Random) -> None:
    """One worker's clock goes wrong by an hour, there and back, and the other's stays right. An hour on, it takes every
    deadline for passed: its tasks expire, and its requests are partial. In every other round keys cool meanwhile, and
    the two tell each other until when."""
    clock = scene.around.clock
    assert clock is not None
    before, known = scene.auditor.unjoined(scene.cameras.taken), len(scene.cameras.taken)
    step_s = rng.choice((-HOUR_S, HOUR_S))
    scene.event(f"b's clock {step_s:+.0f} s")
    clock.step(step_s)
    try:
        await eventually(lambda: _is_off(scene.workers[APART], step_s), 10, what="its clock steps")
        if rng.random() < 0.5:
            scene.event("429 to 20 calls")
            await scene.control_llm(fault="429", times=20, retry_after="1")
        await asyncio.sleep(rng.uniform(3.0, 7.0))
    finally:
        clock.step(0.0)
        await eventually(lambda: _is_off(scene.workers[APART], 0.0), 10, what="its clock steps back")
        during = set(list(scene.cameras.taken)[known:])
        scene.auditor.may_be_partial |= before | during


async def _is_off(worker: Worker, by_s: float) -> bool:
    stats = await worker.stats()
    return stats is not None and abs(stats["at"] - time.time() - by_s) < 60.0


# -- F15


async def no_descriptors(scene: Scene, rng: random.Random) -> None:
    """Meanwhile the LLM breaks connections off, so that new ones are wanted."""
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    scene.event(f"{worker.name} without descriptors")
    with few_descriptors(worker.process.pid, rng.randint(0, 3)):
        await scene.control_llm(fault="cut", share=0.5)
        await asyncio.sleep(rng.uniform(2.0, 5.0))
        await scene.control_llm(fault=None)
    await _started_where_ended(scene)


async def no_memory(scene: Scene, rng: random.Random) -> None:
    """Meanwhile messages of nearly a megabyte come, which may end among the dead letters, and nothing else may. A
    worker that ends for it is started anew by its supervisor."""
    worker = scene.workers[rng.choice(sorted(scene.workers))]
    scene.event(f"{worker.name} without memory")
    async with sender(scene) as producer:
        with little_memory(worker.process.pid, rng.randint(-4, 1) * MIB):
            until = time.monotonic() + rng.uniform(3.0, 6.0)
            while time.monotonic() < until:
                large = message(of_size(rng, LARGE_BYTES))
                scene.auditor.planted.add(await send(scene, producer, rng, "detection_results", large))
                await asyncio.sleep(0.5)
    await _started_where_ended(scene)


async def _started_where_ended(scene: Scene) -> None:
    for worker in scene.workers.values():
        if not worker.process.running:
            scene.event(f"{worker.name} had ended with {worker.process.returncode}")
            await worker.start(until_ready=False)


BROKERS_DISK = Setting(broker_disk_mb=192)
A_CLOCK = Setting(clock=True)
WORKERS_DISK = Setting(data_disk_mb=8)  # without Redis: what the workers share of the keys' limits is in files there
ROWS = (
    Row("F13.broker", "The broker's disk full", brokers_disk, 20.0, BROKERS_DISK, about_s=25.0),
    Row("F13.data", "The workers' data_dir full, one of them started meanwhile", workers_disk, 15.0, WORKERS_DISK),
    Row("F14", "A worker's clock wrong by an hour, there and back", clock_steps, 15.0, A_CLOCK, about_s=20.0),
    Row("F15.descriptors", "A worker without descriptors", no_descriptors, 15.0, SPECIAL),
    Row("F15.memory", "A worker without memory", no_memory, 15.0, SPECIAL),
)
