"""What a Kafka node of ours is told: pure text, from a few values. See ``broker``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

# Kafka's start-up says 1,400 lines at INFO; what explains a failure is at WARN and above.
LOG4J2 = """\
status = error
rootLogger.level = WARN
rootLogger.appenderRefs = file
rootLogger.appenderRef.file.ref = FILE
appenders = file
appender.file.type = RollingFile
appender.file.name = FILE
appender.file.fileName = ${sys:kafka.log}
appender.file.filePattern = ${sys:kafka.log}.%i
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 5MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %p %m (%c{1})%n%ex{12}
"""


class Node(NamedTuple):
    """One broker and controller of the cluster, on loopback."""

    node_id: int  # from 1
    port: int
    controller_port: int


def server_properties(
    node: Node, cluster: Sequence[Node], log_dir: str, others: Mapping[str, object] = MappingProxyType({})
) -> str:
    """``server.properties`` of one node of a KRaft cluster whose nodes are all broker and controller.

    ``others`` win over ours.
    """
    copies = min(3, len(cluster))
    values = {
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(f"{n.node_id}@127.0.0.1:{n.controller_port}" for n in cluster),
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": log_dir,
        # A topic that springs into being has 1 partition, and a worker that subscribes meanwhile stays deaf to it.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,  # 3 s otherwise, at each worker's start
        "group.min.session.timeout.ms": 1000,
        "default.replication.factor": copies,
        "min.insync.replicas": max(1, copies - 1),
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 8,  # 50 otherwise: a second of start-up for groups that we have not
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": max(1, copies - 1),
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": max(1, copies - 1),
        # A killed node is let in again when its old session ends: 9 s otherwise. Below 2 s a busy machine fences it.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 8 << 20,  # 128 MB otherwise, half of the heap
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in (values | dict(others)).items())


def java_options(heap_mb: int, *, long_running: bool = False) -> tuple[str, ...]:
    """Options of the Java run time, for small heaps and few cores."""
    # The first compiler only: up in 1.3 s instead of 1.8 and for half of the CPU, which workers want just then. With
    # both, the pipeline's p95 falls from 31 to 26 ms once they have warmed up.
    quick_start = () if long_running else ("-XX:TieredStopAtLevel=1",)
    return (
        *quick_start,
        "-Xms64m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dlog4j2.disable.jmx=true",
    )
