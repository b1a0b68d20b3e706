"""Our processes on this host, by their metrics ports, and what version each is."""

from __future__ import annotations

import asyncio

from aiohttp import ClientError, ClientSession, ClientTimeout
from prometheus_client.parser import text_string_to_metric_families

from vision_stream.checks.machine import PORTS_TRIED
from vision_stream.settings import Settings

WITHIN_S = 2.0
UNKNOWN = "unknown"  # it is from before processes told it


async def versions(settings: Settings) -> dict[str, str]:
    """Version by address, of those that answer within ``WITHIN_S``; not of other hosts."""
    where, gateway = settings.monitoring.prometheus, settings.gateway
    first = where.port or 1
    places = [(where.host, port) for port in range(first, min(first + PORTS_TRIED, 65536)) if where.port]
    places.append((gateway.host, gateway.port))
    async with ClientSession(timeout=ClientTimeout(total=WITHIN_S)) as session:
        found = await asyncio.gather(*(_version(session, *place) for place in places))
    return {
        f"{host}:{port}": version for (host, port), version in zip(places, found, strict=True) if version is not None
    }


async def _version(session: ClientSession, host: str, port: int) -> str | None:
    """None: nobody answers, or it is no process of ours."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    try:
        async with session.get(f"http://{shown}:{port}/metrics") as answer:
            return version_in(await answer.text()) if answer.status == 200 else None
    except (ClientError, TimeoutError, OSError, UnicodeDecodeError):
        return None


def version_in(exposition: str) -> str | None:
    """Of a process, from what it serves at ``/metrics``; None where it is not ours."""
    try:
        families = {family.name: family for family in text_string_to_metric_families(exposition)}
    except ValueError:
        return None
    if build := families.get("vision_stream_build_info"):
        return build.samples[0].labels["version"]
    return UNKNOWN if any(name.startswith("vision_stream_") for name in families) else None
