"""What a row of the fault suite is."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.suite.scene import Scene

Fault = Callable[["Scene", random.Random], Awaitable[None]]
Mend = Callable[["Scene"], Awaitable[None]]


@dataclass(frozen=True)
class Setting:
    """What a round needs. Rounds of rows with equal settings share one running scene."""

    nodes: int = 1  # of Kafka: 1 or 3
    roles: bool = False  # two workers for each of the three roles, in groups of their own; else two whole workers
    redis: bool = False  # a Redis of its own
    llm_latency: str = "lognormal:0.3,1.0"  # seconds, or median and 95th percentile
    environ: tuple[tuple[str, str], ...] = ()  # of the workers
    partitions: int = 4
    network: bool = False  # worker b in a network of its own, see `tools.namespace`
    clock: bool = False  # worker b with a clock of its own, see `tools.clock`
    broker_disk_mb: int = 0  # the brokers' data on a disk of this size; 0: of this machine
    data_disk_mb: int = 0  # the workers' data_dir likewise
    private: bool = False  # made for one round, and dropped after it


@dataclass(frozen=True)
class Row:
    """One fault.

    ``fault`` is called under load, makes its fault at a random moment and returns as soon as that is over: what was
    killed is started again, not yet ready. All its chance is from the ``Random`` that it is given. It raises
    AssertionError where what it caused was not as it should be, such as an exit code. ``mend`` comes after recovery,
    for a fault that does not pass by itself.
    """

    name: str  # "F1", a variant "F6.three-nodes"
    title: str  # one line, as in docs/reliability.md
    fault: Fault
    recovers_within_s: float  # asked of the 95th percentile
    setting: Setting = Setting()
    about_s: float = 15.0  # what a round takes: for choosing CI's rows
    mend: Mend | None = None
    missing: Callable[[], str] | None = None  # why this machine cannot play it, beside what its setting needs

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]
