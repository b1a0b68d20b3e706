"""What each process takes, and what the stores hold, at one moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import redis.asyncio as redis_client
from prometheus_client.parser import text_string_to_metric_families

from tests.soak.stage import Stage
from tests.soak.tail import Tail
from vision_stream.topics import GLOBAL_TABLES

KB_IN_MB = 1024
TASKS = "vision_stream_asyncio_tasks"


async def processes(stage: Stage) -> list[dict[str, Any]]:
    """One mapping a living process, ready for the journal."""
    urls = {name: f"http://127.0.0.1:{port}/metrics" for name, port in stage.metrics_ports.items()}
    urls["gateway"] = f"{stage.gateway_url}/metrics"
    pids = {name: worker.process.pid for name, worker in stage.workers.items() if worker.process.running}
    pids |= {"gateway": stage.gateway.pid, "llm": stage.llm.pid, "redis": stage.redis.pid, "kafka": stage.kafka.pids[0]}
    taken = await asyncio.gather(*(asyncio.to_thread(taken_by, pid) for pid in pids.values()))
    tasks = await asyncio.gather(*(_tasks(urls[name]) if name in urls else _none() for name in pids))
    return [
        {"process": name, "life": stage.lives.get(name, 1), **found, "tasks": count}
        for name, found, count in zip(pids, taken, tasks, strict=True)
        if found
    ]


def taken_by(pid: int) -> dict[str, Any]:
    """Memory in MB, threads, descriptors and connections; empty where the process has ended.

    ``anon_mb`` is the memory of its own: heap and stacks, not the pages of files, which others share and the kernel
    takes back.
    """
    try:
        process = psutil.Process(pid)
        memory = _smaps(pid)
        with process.oneshot():
            return {
                "pid": pid,
                "anon_mb": memory["Anonymous"],
                "rss_mb": memory["Rss"],
                "pss_mb": memory["Pss"],
                "threads": process.num_threads(),
                "descriptors": process.num_fds(),
                "connections": len(process.net_connections(kind="inet")),
                "cpu_s": round(sum(process.cpu_times()[:2]), 2),
            }
    except (psutil.Error, OSError, KeyError):
        return {}


def _smaps(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: round(int(kb.split()[0]) / KB_IN_MB, 3) for name, _, kb in (line.partition(":") for line in lines)}


async def stores(stage: Stage, tail: Tail) -> dict[str, Any]:
    """Redis's keys, the tables' rows over all workers, and how far the workers are behind."""
    client = redis_client.Redis.from_url(stage.redis.url)
    try:
        keys, memory = await client.dbsize(), await client.info("memory")
    finally:
        await client.aclose()
    running = [worker for worker in stage.workers.values() if worker.process.running]
    stats = [found for found in await asyncio.gather(*(worker.stats() for worker in running)) if found]
    rows: dict[str, int] = {}
    for found in stats:
        for table, told in found["tables"].items():
            known = rows.get(table, 0)
            rows[table] = max(known, told["rows"]) if table in GLOBAL_TABLES else known + told["rows"]
    return {
        "redis_keys": keys,
        "redis_mb": round(memory["used_memory"] / 2**20, 3),
        "rows": rows if len(stats) == len(running) else {},
        "rebalancing": any(found["rebalancing"] for found in stats),
        "lag": await tail.lag(),
    }


async def _tasks(url: str) -> int | None:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http,
            http.get(url) as answer,
        ):
            for family in text_string_to_metric_families(await answer.text()):
                if family.name == TASKS:
                    return int(sum(sample.value for sample in family.samples))
    return None


async def _none() -> None:
    return None
