"""The whole LLM scheduler in its Faust worker on real Kafka: calls a second, and CPU a call.

    python benchmarks/llm_scheduler_kafka.py [--rounds 3] [--tasks 6000] [--in-flight 200] [--picture-kb 30]

One Kafka node, one worker with the scheduler alone, and the mock endpoint of ``llm_scheduler.py`` (200 ms), all on this
machine. A round's tasks lie in Kafka before the worker starts; timed is from the 500th outcome to the last, so that
neither the start nor the first connections count. CPU is the worker's own, its start included.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from vision_stream import config, topics
from vision_stream.broker import KafkaBroker
from vision_stream.messages import Assessed, GroupAssessment, InlineEvidence, decode, encode
from vision_stream.server_process import ServerProcess, free_ports
from vision_stream.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))
import llm_limits
import llm_scheduler

LATENCY_S = 0.2
WARM = 500  # outcomes
KEYS = 10


def task_of(number: int, picture: bytes) -> bytes:
    import msgspec

    task = llm_limits.a_task(number, 600.0)
    group = msgspec.structs.replace(task.group, evidence=InlineEvidence(jpeg=picture))
    return encode(msgspec.structs.replace(task, group=group, camera_id=f"cam-{number % 50:02}"))


async def one_round(options: argparse.Namespace, base_url: str, picture: bytes) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        async with KafkaBroker() as kafka:
            settings, environ = await prepared(options, kafka, base_url, Path(directory))
            await filled(settings, options.tasks, picture)
            (port,) = free_ports(1)
            argv = (sys.executable, "-m", "faust", "-A", "vision_stream", "worker", "--web-port", str(port))
            worker = ServerProcess("worker", argv, log=Path(directory) / "worker.log", environ=environ)
            worker.start()
            try:
                times = await asyncio.wait_for(outcomes(settings, options.tasks), 300)
                assert worker.pid is not None
                cpu_s = _cpu_s(worker.pid)
            finally:
                await worker.stop(within_s=20)
    return {"calls_s": (len(times) - WARM) / (times[-1] - times[WARM]), "cpu_us": cpu_s / len(times) * 1e6}


async def prepared(
    options: argparse.Namespace, kafka: KafkaBroker, base_url: str, directory: Path
) -> tuple[Settings, dict[str, str]]:
    keys = [{"id": f"k{n}", "api_key": f"sk-bench-{n}", "base_url": base_url} for n in range(KEYS)]
    (directory / "api_keys.yaml").write_text(yaml.safe_dump({"keys": keys}))
    environ = {
        "ALGO_CONFIG_DIR": str(directory),
        "ALGO_DATA_DIR": str(directory / "var"),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": "false",
        "ALGO_STREAM_ROLES": "llm_scheduler",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "ALGO_KAFKA_SCHEDULER_MAX_CONCURRENT_TASKS": str(options.in_flight),
        "ALGO_MONITORING_PROMETHEUS_PORT": "0",
    }
    settings = config.load(environ=environ)
    await topics.ensure(settings)
    return settings, environ


async def filled(settings: Settings, tasks: int, picture: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers), linger_ms=20)
    await producer.start()
    topic = settings.kafka.topics.assessment_tasks.name
    for n in range(tasks):
        await producer.send(topic, task_of(n, picture), key=f"cam-{n % 50:02}".encode())
    await producer.flush()
    await producer.stop()


async def outcomes(settings: Settings, tasks: int) -> list[float]:
    """When each came; all must be assessed."""
    consumer = AIOKafkaConsumer(
        settings.kafka.topics.risk_assessment_results.name,
        bootstrap_servers=",".join(settings.kafka.bootstrap_servers),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    times: list[float] = []
    try:
        while len(times) < tasks:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    outcome: Any = decode(record.value, GroupAssessment)
                    assert isinstance(outcome, Assessed), outcome
                    times.append(time.monotonic())
    finally:
        await consumer.stop()
    return times


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def run(options: argparse.Namespace) -> None:
    server = subprocess.Popen(
        [sys.executable, llm_scheduler.__file__, "--serve", str(LATENCY_S)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    base_url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    picture = llm_scheduler.a_real_picture()[: options.picture_kb * 1000 - 2] + b"\xff\xd9"
    try:
        found = [asyncio.run(one_round(options, base_url, picture)) for _ in range(options.rounds)]
    finally:
        server.kill()
        server.wait()
    calls_s, cpu_us = (statistics.median(one[figure] for one in found) for figure in ("calls_s", "cpu_us"))
    print(
        f"{options.in_flight} in flight, {options.picture_kb} KB: {calls_s:.0f} calls/s, {cpu_us:.0f} us of CPU a call"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=6000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--picture-kb", type=int, default=30)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
