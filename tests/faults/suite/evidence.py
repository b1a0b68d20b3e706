"""What is kept of a round that failed: var/faults/<row>-<seed>/."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.faults.suite.ledger import ROOT, Record
from tests.faults.suite.scene import Scene
from vision_stream.errors import VisionStreamError

KEPT = ROOT / "var" / "faults"
DUMP_WITHIN_S = 60.0


async def keep(scene: Scene, record: Record) -> Path:
    """Workers' logs and pages, the brokers' logs, and all topics, changelogs included, as JSON lines."""
    place = KEPT / f"{record.row}-{record.seed}"
    shutil.rmtree(place, ignore_errors=True)
    (place / "topics").mkdir(parents=True)
    (place / "round.txt").write_text("\n".join([str(record), *record.events, "", scene.world.logs()]))
    for log in (*scene.directory.glob("*.log"), *scene.kafka.data_dir.glob("*/server.log")):
        shutil.copy(log, place / f"{log.parent.name}-{log.name}")
    (place / "stats.json").write_text(json.dumps({w.name: await w.stats() for w in scene.workers.values()}, indent=1))
    try:
        async with asyncio.timeout(DUMP_WITHIN_S):
            await _dump(scene, place / "topics")
    except (KafkaError, VisionStreamError, TimeoutError, OSError) as error:
        (place / "topics" / "incomplete.txt").write_text(repr(error))
    return place


async def _dump(scene: Scene, place: Path) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=",".join(scene.settings.kafka.bootstrap_servers), group_id=None)
    await consumer.start()
    try:
        for topic in sorted(await consumer.topics()):
            places = [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic) or ())]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            with (place / f"{topic}.jsonl").open("w") as file:
                while any([await consumer.position(p) < ends[p] for p in places]):
                    for batch in (await consumer.getmany(timeout_ms=200)).values():
                        file.writelines(_line(record) for record in batch)
    finally:
        await consumer.stop()


def _line(record) -> str:
    def text(raw: bytes | None) -> str | None:
        return None if raw is None else raw.decode(errors="backslashreplace")

    kept = (record.partition, record.offset, record.timestamp, text(record.key), text(record.value))
    return json.dumps(dict(zip(("partition", "offset", "timestamp", "key", "value"), kept, strict=True))) + "\n"
