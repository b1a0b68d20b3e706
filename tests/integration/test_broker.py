from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.waiting import eventually
from vision_stream import kafka_jars
from vision_stream.broker import KafkaBroker
from vision_stream.errors import ConfigError, DependencyError, VisionStreamError
from vision_stream.server_process import free_ports

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]


async def make_topic(broker: KafkaBroker, name: str, copies: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(broker.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, copies)])
    finally:
        await admin.close()


async def send(broker: KafkaBroker, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=",".join(broker.bootstrap_servers), acks="all")
    await producer.start()
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value), 20)
    finally:
        await producer.stop()


async def first(broker: KafkaBroker, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=",".join(broker.bootstrap_servers), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return (await asyncio.wait_for(consumer.getone(), 20)).value
    finally:
        await consumer.stop()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


async def test_a_temporary_broker_answers_and_leaves_nothing_behind():
    async with KafkaBroker() as broker:
        await make_topic(broker, "t")
        await send(broker, "t", b"hello")
        assert await first(broker, "t") == b"hello"
        pids, data = broker.pids, broker.data_dir

    assert all(map(gone, pids))
    assert not data.exists()


async def test_a_start_asks_nobody_once_the_jars_are_here(monkeypatch: pytest.MonkeyPatch):
    kafka_jars.fetch()
    monkeypatch.setattr(kafka_jars, "_download", None)
    async with KafkaBroker() as broker:
        assert broker.running


async def test_a_killed_broker_returns_on_its_port_with_its_data(private_kafka: KafkaBroker):
    await make_topic(private_kafka, "t")
    await send(private_kafka, "t", b"kept")
    servers = private_kafka.bootstrap_servers

    private_kafka.kill()
    assert not private_kafka.running
    await private_kafka.restart()

    assert private_kafka.bootstrap_servers == servers
    assert await first(private_kafka, "t") == b"kept"


async def test_a_data_directory_outlives_the_broker(tmp_path: Path):
    async with KafkaBroker(tmp_path / "kafka") as broker:
        await make_topic(broker, "t")
        await send(broker, "t", b"kept")
    async with KafkaBroker(tmp_path / "kafka") as broker:
        assert await first(broker, "t") == b"kept"

    with pytest.raises(ConfigError, match="holds the data of 1 nodes, not of 3"):
        await KafkaBroker(tmp_path / "kafka", nodes=3).start()


@pytest.mark.slow
async def test_three_nodes_survive_the_loss_of_one():
    async with KafkaBroker(nodes=3) as cluster:
        await make_topic(cluster, "t", copies=3)
        await send(cluster, "t", b"before")

        cluster.kill(2)
        await send(cluster, "t", b"after")  # acks=all: two of three copies

        assert await first(cluster, "t") == b"before"
        await cluster.restart(2)
        assert cluster.running


async def test_a_stopped_broker_ends_too(private_kafka: KafkaBroker):
    (pid,) = private_kafka.pids
    os.kill(pid, signal.SIGSTOP)
    await private_kafka.stop(within_s=5)
    assert gone(pid)


async def test_a_taken_port_is_said_before_anything_starts(private_kafka: KafkaBroker):
    port = int(private_kafka.bootstrap_servers[0].rpartition(":")[2])
    with pytest.raises(VisionStreamError, match=f"port {port} is taken") as refused:
        await KafkaBroker(port=port).start()
    assert "--port" in refused.value.remedy


async def test_a_broker_that_ends_by_itself_is_explained_by_its_log(tmp_path: Path):
    async with KafkaBroker(tmp_path) as broker:
        await broker.stop()
    (meta,) = tmp_path.rglob("meta.properties")
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))

    with pytest.raises(DependencyError, match=r"(?s)ended with status 1.*Stored node id 7"):
        await KafkaBroker(tmp_path).start()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_no_java_outlives_a_parent_that_is_killed(tmp_path: Path):
    script = (
        "import asyncio, sys\nfrom vision_stream.broker import KafkaBroker\n"
        "async def main():\n"
        "    broker = KafkaBroker(sys.argv[1]); await broker.start(); print(*broker.pids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, cwd=ROOT)
    with parent:
        assert parent.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(parent.stdout.readline), 30)
        parent.kill()
    java = int(line)

    await eventually(lambda: gone(java), within_s=5)


@pytest.mark.parametrize(
    ("ending", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=["Ctrl-C ends with 130", "SIGTERM with 0"]
)
async def test_the_command_ends_cleanly(ending: signal.Signals, status: int):
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "vision_stream", "broker", "--port", str(port), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    with process:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30))
        started = time.monotonic()
        process.send_signal(ending)
        _, errors = await asyncio.wait_for(asyncio.to_thread(process.communicate), 15)

    assert ready["bootstrap_servers"] == [f"127.0.0.1:{port}"]
    assert process.returncode == status, errors
    assert time.monotonic() - started < 10
    assert all(map(gone, ready["pids"]))
