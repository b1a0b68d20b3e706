"""What is kept of a round that failed: var/faults/<row>-<seed>/."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.harness.audit import records
from tests.faults.suite.ledger import ROOT, Record
from tests.faults.suite.scene import Scene

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
    except Exception as error:  # of brokers that may be in any state
        (place / "topics" / "incomplete.txt").write_text(repr(error))
    return place


async def _dump(scene: Scene, place: Path) -> None:
    servers = ",".join(scene.settings.kafka.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        described = await admin.describe_topics()
    finally:
        await admin.close()
    for topic in described:
        found = await records(scene.settings, topic["topic"], len(topic["partitions"]))
        (place / f"{topic['topic']}.jsonl").write_text("".join(map(_line, found)))


def _line(record: Any) -> str:
    def text(raw: bytes | None) -> str | None:
        return None if raw is None else raw.decode(errors="backslashreplace")

    kept = (record.partition, record.offset, record.timestamp, text(record.key), text(record.value))
    return json.dumps(dict(zip(("partition", "offset", "timestamp", "key", "value"), kept, strict=True))) + "\n"
