"""F6 and F7: Kafka's nodes killed, frozen, and asked to end."""

from __future__ import annotations

import asyncio
import os
import random
import signal

from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.suite.row import Row, Setting
from tests.faults.suite.scene import Scene
from tests.waiting import eventually

FROZEN_S = 20.0
IN_SYNC_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0
THREE = Setting(nodes=3)


async def kill_the_node(scene: Scene, rng: random.Random) -> None:
    away_s = rng.uniform(0.0, 4.0)
    scene.kafka.kill()
    await asyncio.sleep(away_s)
    await scene.kafka.restart()
    scene.event(f"broker away for {away_s:.1f} s and its start")


async def kill_one_node(scene: Scene, rng: random.Random) -> None:
    """It stays away while recovery is measured: ``back_in_sync`` brings it back."""
    node = await _a_leader(scene, rng)
    scene.kafka.kill(node)
    scene.event(f"killed node {node}")


async def back_in_sync(scene: Scene) -> None:
    """All nodes run, and each partition has all its copies: the next node may fail."""
    await scene.kafka.restart()
    servers = ",".join(scene.settings.kafka.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await eventually(lambda: _in_sync(admin), IN_SYNC_WITHIN_S, every_s=0.2, what="all copies in sync")
    finally:
        await admin.close()


async def freeze_the_node(scene: Scene, rng: random.Random) -> None:
    await _freeze(scene.kafka.pids[0])


async def freeze_one_node(scene: Scene, rng: random.Random) -> None:
    """Longer than the cluster waits for it: others lead its partitions when it wakes."""
    node = await _a_leader(scene, rng)
    scene.event(f"freezes node {node}")
    await _freeze(scene.kafka.pids[node - 1])


async def move_leadership(scene: Scene, rng: random.Random) -> None:
    """As in a rolling restart: a node that is asked to end hands over what it leads, and comes back leading nothing."""
    node = await _a_leader(scene, rng)
    pid = scene.kafka.pids[node - 1]
    os.kill(pid, signal.SIGTERM)
    scene.event(f"node {node} asked to end")
    await eventually(lambda: not scene.kafka.running, ENDS_WITHIN_S, what=f"node {node} ends")
    await scene.kafka.restart(node)


async def _freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_S)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _a_leader(scene: Scene, rng: random.Random) -> int:
    """The node, from 1, that leads some partition of what the workers read."""
    admin = AIOKafkaAdminClient(bootstrap_servers=",".join(scene.settings.kafka.bootstrap_servers))
    await admin.start()
    try:
        topics = await admin.describe_topics([scene.settings.kafka.topics.detection_results.name])
    finally:
        await admin.close()
    partitions = sorted(topics[0]["partitions"], key=lambda p: p["partition"])
    return rng.choice(partitions)["leader"]


async def _in_sync(admin: AIOKafkaAdminClient) -> bool:
    topics = await admin.describe_topics()
    return all(set(p["isr"]) == set(p["replicas"]) for topic in topics for p in topic["partitions"])


ROWS = (
    Row("F6.one-node", "The only broker killed, and started again", kill_the_node, 20.0),
    Row("F6.three-nodes", "1 of 3 brokers killed, back after recovery", kill_one_node, 10.0, THREE, mend=back_in_sync),
    Row("F7.frozen", "The only broker frozen for 20 s", freeze_the_node, 20.0, about_s=32),
    Row("F7.one-of-three", "1 of 3 brokers frozen for 20 s", freeze_one_node, 10.0, THREE, mend=back_in_sync,
        about_s=32),
    Row("F7.moved", "Leadership moved: 1 of 3 brokers asked to end, and started again", move_leadership, 10.0, THREE,
        mend=back_in_sync),
)  # fmt: skip
