"""How many cores this process may use: the machine's number says little in a container."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # version 2; in a container it is the container's own


def usable_cores() -> int:
    """What the scheduler allows, or what the container's quota is worth if that is less; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_of(_cpu_max())
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def quota_of(cpu_max: str) -> float | None:
    """Cores that the text of a cgroup's ``cpu.max`` is worth; None where it sets no limit.

    >>> quota_of("150000 100000")
    1.5
    >>> quota_of("max 100000"), quota_of("")
    (None, None)
    """
    quota, _, period = cpu_max.strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _cpu_max() -> str:
    try:
        return (CGROUP / "cpu.max").read_text()
    except OSError:  # another system, cgroups of version 1, or no quota of its own
        return ""
