"""What the pipeline adds to the LLM's time, beside bare aiokafka over the same three hops in the same run.

    python benchmarks/pipeline_overhead.py [--rounds 3] [--seconds 20] [--warm-up 40]

Real Kafka (one node, 16 partitions), one Faust worker with all three agents, the LLM simulator over HTTP, and this
process as cameras and as gateway: all on this machine's cores. The load is 100 detections/s of 50 cameras with one or
two groups each, so 150 assessment tasks/s. Rounds of the two take turns; each idles while the other is measured.

Overhead of one request: received from ``camera-assessments`` minus captured, minus the time from its first LLM call's
start to its last answer. Bare: received from the fourth topic minus captured. Milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from vision_stream import config, topics
from vision_stream.background import Background
from vision_stream.broker import KafkaBroker
from vision_stream.messages import CameraAssessment, CameraMessage, Detection, decode, encode
from vision_stream.server_process import ServerProcess, free_ports
from vision_stream.settings import Settings
from vision_stream.simulators.load import Load, a_detection, schedule

CAMERAS, FPS = 50, 2.0  # 100 detections/s
LLM_SECONDS = 0.2
KEYS = 10
BARE_TOPICS = tuple(f"bare-{n}" for n in range(4))
READY_WITHIN_S = 60.0
SETTLE_S = 5.0
LIMIT_MS = 30.0
STAGES = ("to the gate", "to the LLM call", "to the join", "to the gateway")
stage_ms: dict[str, list[float]] = {stage: [] for stage in STAGES}


@dataclass
class Arrivals:
    """Milliseconds of each request that has arrived since the last ``clear``."""

    milliseconds: list[float] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, seconds: float) -> None:
        async with self.changed:
            self.milliseconds.append(seconds * 1000)
            self.changed.notify_all()

    async def missing(self, sent: int, within_s: float) -> int:
        """Wait for ``sent`` of them; returns how many have not come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), self.changed:
                await self.changed.wait_for(lambda: len(self.milliseconds) >= sent)
        return max(0, sent - len(self.milliseconds))

    def clear(self) -> None:
        self.milliseconds.clear()


@dataclass(frozen=True)
class Way:
    """One of the two ways through Kafka: where it begins, where it ends, what took the time between."""

    name: str
    source: str
    target: str
    seconds: Callable[[bytes, float], float | None]
    arrivals: Arrivals = field(default_factory=Arrivals)


async def main(rounds: int, seconds: float, warm_up: float) -> int:
    with tempfile.TemporaryDirectory(prefix="vision-stream-bench-") as directory:
        async with KafkaBroker(long_running=True) as kafka, _workers(kafka, Path(directory)) as settings:
            figures = await _measure(settings, rounds, seconds, warm_up)
    _print(figures)
    return 0 if figures["lost"] == 0 else 1


async def _measure(settings: Settings, rounds: int, seconds: float, warm_up: float) -> dict[str, float]:
    servers = ",".join(settings.kafka.bootstrap_servers)
    names = settings.kafka.topics
    ways = (
        Way("pipeline", names.detection_results.name, names.camera_assessments.name, _overhead),
        Way("bare", BARE_TOPICS[0], BARE_TOPICS[-1], _relayed),
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0)
    background = Background()
    await producer.start()
    try:
        for way in ways:
            background.spawn(_tail(servers, way), name=way.name)
            await _first_answer(producer, way)
        return await _rounds(producer, ways, [warm_up, *[seconds] * rounds])
    finally:
        await background.close()
        await producer.stop()


async def _rounds(producer: AIOKafkaProducer, ways: tuple[Way, ...], lengths: list[float]) -> dict[str, float]:
    rows: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    lost = 0
    for number, length in enumerate(lengths):  # the first is the warm-up
        for way in ways:
            way.arrivals.clear()
            for milliseconds in stage_ms.values():
                milliseconds.clear()
            sent = await _send(producer, way.source, f"{way.name}-{number}", length)
            missing = await way.arrivals.missing(sent, SETTLE_S)
            p50, p95 = _percentiles(way.arrivals.milliseconds)
            print(
                f"{way.name:9} round {number}: {sent} sent, {missing} missing, p50 {p50:.1f}, p95 {p95:.1f} ms",
                flush=True,
            )
            if way.name == "pipeline":
                stages = {stage: _percentiles(milliseconds) for stage, milliseconds in stage_ms.items()}
                print("         ", ", ".join(f"{stage} {p50:.1f}/{p95:.1f}" for stage, (p50, p95) in stages.items()))
            lost += missing
            if number:
                rows[way.name].append((p50, p95))
    return _figures(rows, lost)


async def _first_answer(producer: AIOKafkaProducer, way: Way) -> None:
    """Send detections until one has come through."""
    async with asyncio.timeout(READY_WITHIN_S):
        for number in itertools.count(1):
            load = Load(cameras=1, fps=1, seconds=1, groups=1, session="probe")
            probe = a_detection(load, 999, number, now=time.time())
            await producer.send_and_wait(way.source, encode(probe), key=probe.camera_id.encode())
            if await way.arrivals.missing(1, 0.5) == 0:
                return


async def _send(producer: AIOKafkaProducer, topic: str, session: str, seconds: float) -> int:
    load = Load(cameras=CAMERAS, fps=FPS, seconds=seconds, session=session)
    began, sent, last = time.monotonic(), 0, None
    for due, camera, sequence in schedule(load):
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        one_or_two = replace(load, groups=1 + (camera + sequence) % 2)
        detection = a_detection(one_or_two, camera, sequence, now=time.time())
        last = await producer.send(topic, encode(detection), key=detection.camera_id.encode())
        sent += 1
    if last is not None:
        await last
    return sent


async def _tail(servers: str, way: Way) -> None:
    consumer = AIOKafkaConsumer(way.target, bootstrap_servers=servers, group_id=None, auto_offset_reset="latest")
    await consumer.start()
    try:
        async for message in consumer:
            seconds = way.seconds(message.value or b"", time.time())
            if seconds is not None:
                await way.arrivals.add(seconds)
    finally:
        await consumer.stop()


def _overhead(payload: bytes, received: float) -> float | None:
    message = decode(payload, CameraMessage)
    if not isinstance(message, CameraAssessment):
        return None
    t = message.times
    if t.gated_at is None or t.called_at is None or t.answered_at is None or t.joined_at is None:
        return None
    spent = (t.gated_at - t.captured_at, t.called_at - t.gated_at, t.joined_at - t.answered_at, received - t.joined_at)
    for stage, seconds in zip(STAGES, spent, strict=True):
        stage_ms[stage].append(seconds * 1000)
    return sum(spent)


def _relayed(payload: bytes, received: float) -> float | None:
    return received - decode(payload, Detection).times.captured_at


@asynccontextmanager
async def _workers(kafka: KafkaBroker, directory: Path) -> AsyncIterator[Settings]:
    llm_port, web_port = free_ports(2)
    (directory / "api_keys.yaml").write_text(_keys(llm_port))
    environ = {
        "ALGO_CONFIG_DIR": str(directory),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": "false",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "ALGO_GATING_COOLDOWN_S": "0",
        "ALGO_LLM_REQUIRE_PICTURE": "false",
        "ALGO_KAFKA_SCHEDULER_MAX_CONCURRENT_TASKS": "200",
        "ALGO_MONITORING_PROMETHEUS_PORT": "0",
    }
    settings = config.load(environ=environ)
    await topics.ensure(settings)
    await _make_bare_topics(settings)
    here = Path(__file__).parent
    simulate = ("simulate", "llm", "--port", str(llm_port), "--keys", str(KEYS), "--judge", "hash")
    programs = {
        "llm": (sys.executable, "-m", "vision_stream", *simulate, "--latency", str(LLM_SECONDS)),
        "faust": (sys.executable, "-m", "faust", "-A", "vision_stream", "worker", "-l", "warn",
                  "--web-host", "127.0.0.1", "--web-port", str(web_port)),
        "bare": (sys.executable, str(here / "bare_hops.py"), ",".join(kafka.bootstrap_servers), *BARE_TOPICS),
    }  # fmt: skip
    children = [
        ServerProcess(name, argv, log=directory / f"{name}.log", environ=environ) for name, argv in programs.items()
    ]
    try:
        for child in children:
            child.start()
        yield settings
    finally:
        await asyncio.gather(*(child.stop(within_s=10) for child in children))


async def _make_bare_topics(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await admin.start()
    partitions = settings.kafka.topics.detection_results.partitions
    try:
        await admin.create_topics([NewTopic(name, partitions, 1) for name in BARE_TOPICS])
    finally:
        await admin.close()


def _keys(port: int) -> str:
    return yaml.safe_dump(
        {
            "keys": [
                {"id": f"key-{n:03}", "api_key": f"sk-sim-{n:03}", "base_url": f"http://127.0.0.1:{port}/v1"}
                for n in range(1, KEYS + 1)
            ]
        }
    )


def _percentiles(milliseconds: list[float]) -> tuple[float, float]:
    if len(milliseconds) < 2:
        return float("nan"), float("nan")
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[94]


def _figures(rows: dict[str, list[tuple[float, float]]], lost: int) -> dict[str, float]:
    figures: dict[str, float] = {"lost": lost, "cores": os.cpu_count() or 0}
    for name, percentiles in rows.items():
        for position, what in enumerate(("p50_ms", "p95_ms")):
            figures[f"{name}_{what}"] = round(statistics.median(row[position] for row in percentiles), 1)
    figures["p95_ratio"] = round(figures["pipeline_p95_ms"] / figures["bare_p95_ms"], 2)
    figures["p95_of_limit"] = round(figures["pipeline_p95_ms"] / LIMIT_MS, 2)
    return figures


def _print(figures: dict[str, float]) -> None:
    print(f"{'':24}{'p50 ms':>10}{'p95 ms':>10}")
    for name, title in (("pipeline", "pipeline less LLM time"), ("bare", "bare aiokafka, 3 hops")):
        print(f"{title:24}{figures[name + '_p50_ms']:>10}{figures[name + '_p95_ms']:>10}")
    print(f"p95: {figures['p95_ratio']} x bare, {figures['p95_of_limit']} of the limit of {LIMIT_MS:.0f} ms")
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=40.0)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.rounds, given.seconds, given.warm_up)))
