"""What of the machine a scene has for itself: networks, clocks and disks, see ``tests.faults.tools``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from tests.faults.harness.world import Worker
from tests.faults.suite.row import Row, Setting
from tests.faults.tools import clock, disk, namespace
from tests.faults.tools.clock import Clock
from tests.faults.tools.disk import SmallDisk
from tests.faults.tools.namespace import Namespace
from vision_stream.broker import KafkaBroker
from vision_stream.redis_server import RedisServer

APART = "b"  # the worker that has them
SPECIAL = Setting(redis=True, network=True)  # what most faults but kills need: one scene for all of them


class Surroundings:
    """None where the setting does not ask for it."""

    network: Namespace | None = None
    clock: Clock | None = None
    broker_disk: SmallDisk | None = None
    data_disk: SmallDisk | None = None

    async def bring_disks(self, setting: Setting, directory: Path, stack: AsyncExitStack) -> None:
        """Before the brokers start."""
        if setting.broker_disk_mb:
            self.broker_disk = SmallDisk(directory / "kafka", size_mb=setting.broker_disk_mb)
            await stack.enter_async_context(self.broker_disk)
        if setting.data_disk_mb:
            self.data_disk = SmallDisk(directory / "var", size_mb=setting.data_disk_mb)
            await stack.enter_async_context(self.data_disk)

    async def bring_apart(
        self, setting: Setting, directory: Path, servers: Sequence[int], stack: AsyncExitStack
    ) -> None:
        """Before the workers start, and with the ports of what they need."""
        if setting.clock:
            self.clock = Clock(directory / "clock")
        if setting.network:
            self.network = await stack.enter_async_context(Namespace(servers=servers))

    def enter(self, worker: str) -> tuple[str, ...]:
        return self.network.enter if self.network and worker == APART else ()

    def environ(self, worker: str) -> dict[str, str]:
        return self.clock.environ if self.clock and worker == APART else {}

    async def let_in(self, worker: Worker) -> None:
        """Its page can be asked, wherever it runs."""
        if self.network and worker.name == APART:
            await self.network.let_in(worker.port)


def missing(row: Row) -> str:
    """Why this machine cannot play it; empty where it can."""
    setting = row.setting
    needs = {
        namespace.missing: setting.network,
        clock.missing: setting.clock,
        disk.missing: setting.broker_disk_mb or setting.data_disk_mb,
        row.missing: row.missing,
    }
    return "; ".join(filter(None, (why() for why, needed in needs.items() if needed and why)))


def ports_of(server: KafkaBroker | RedisServer | None) -> tuple[int, ...]:
    if isinstance(server, KafkaBroker):
        return tuple(int(address.rpartition(":")[2]) for address in server.bootstrap_servers)
    return () if server is None else (server.port,)
