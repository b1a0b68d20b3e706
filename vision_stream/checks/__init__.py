"""What must be there before Vision Stream can run: one bounded look at each thing, all at once, for ``doctor``.

A check returns a ``Finding``; it changes nothing, and looks only at what the chosen mode needs. ``machine`` has those
of this machine, ``services`` those of Kafka and Redis, ``groups`` the workers' groups, ``clock`` everybody's.
"""

from __future__ import annotations

import asyncio

from vision_stream.checks import clock, groups, machine, services
from vision_stream.checks.finding import WITHIN_S, Check, Finding
from vision_stream.errors import VisionStreamError
from vision_stream.redaction import mask
from vision_stream.settings import Settings

__all__ = ["CHECKS", "Finding", "run"]

SERVICES: dict[str, Check] = {
    "kafka": services.kafka,
    "topics": services.topics,
    "groups": groups.groups,
    "redis": services.redis,
}
CHECKS: dict[str, Check] = {
    "python": machine.python,
    "parts": machine.parts,
    "versions": machine.versions,
    **SERVICES,
    "clock": clock.clock,
    "keys": machine.keys,
    "model": machine.model,
    "disk": machine.disk,
    "sandbox": machine.sandbox,
    "port": machine.gateway_port,
    "ports": machine.worker_ports,
}


async def run(settings: Settings, *, within_s: float = WITHIN_S) -> list[Finding]:
    """All checks at the same time, each ended after ``within_s`` seconds, in the order of ``CHECKS``."""
    return list(await asyncio.gather(*(_bounded(name, check, settings, within_s) for name, check in CHECKS.items())))


async def _bounded(name: str, check: Check, settings: Settings, within_s: float) -> Finding:
    try:
        async with asyncio.timeout(within_s):
            return await check(settings)
    except TimeoutError:
        code = 3 if name in SERVICES else 1
        return Finding(name, "wrong", f"no answer within {within_s:g} s", "see that it runs and can be reached", code)
    except VisionStreamError as error:
        return Finding(name, "wrong", error.what, error.remedy, error.exit_code)
    except Exception as error:
        return Finding(name, "wrong", mask(f"{type(error).__name__}: {error}"), "report this, with the line", 1)
