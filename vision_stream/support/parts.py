"""The texts of a bundle. Each is a small function; one that fails leaves its error in place of its text."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import msgspec
import psutil

from vision_stream import checks
from vision_stream.config import Loaded
from vision_stream.config.effective import effective
from vision_stream.services import control, state
from vision_stream.services.plan import run_dir

LOG_BYTES = 2 * 1024 * 1024  # of the end of each log
PAGE_WITHIN_S = 3.0

Parts = dict[str, Callable[[], str]]


def parts(loaded: Loaded, logs: Path) -> Parts:
    """Texts by their names in the archive."""
    return {
        "machine.json": _machine,
        "packages.txt": _packages,
        "environment.txt": _environment,
        "settings.json": lambda: _settings(loaded),
        "doctor.json": lambda: _doctor(loaded),
        "services.json": lambda: _services(loaded),
        **dict(_pages(loaded)),
        **dict(_logs(logs)),
    }


def _machine() -> str:
    memory = psutil.virtual_memory()
    return _json(
        {
            "platform": platform.platform(),
            "python": sys.version,
            "cores": os.cpu_count(),
            "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
            "memory_mb": {"total": memory.total // 2**20, "available": memory.available // 2**20},
            "booted_at": psutil.boot_time(),
        }
    )


def _packages() -> str:
    found = {(each.metadata["Name"] or "?", each.version) for each in metadata.distributions()}
    return "\n".join(f"{name}=={version}" for name, version in sorted(found, key=lambda pair: pair[0].lower()))


def _environment() -> str:
    """Which of our variables are set; `settings.json` has what they mean, masked."""
    return "\n".join(sorted(name for name in os.environ if name.startswith("ALGO_")))


def _settings(loaded: Loaded) -> str:
    return _json({item.name: {"value": item.value, "source": str(item.place)} for item in effective(loaded)})


def _doctor(loaded: Loaded) -> str:
    return _json([asdict(finding) for finding in asyncio.run(checks.run(loaded.settings))])


def _services(loaded: Loaded) -> str:
    return _json(msgspec.to_builtins(state.read(run_dir(loaded.settings))))


def _pages(loaded: Loaded) -> Iterator[tuple[str, Callable[[], str]]]:
    """The metrics and the stats page of each service of this host's supervisor."""
    found = control.running(run_dir(loaded.settings))
    for service in found.services if found else ():
        metrics = f"http://127.0.0.1:{service.metrics_port}/metrics"
        stats = f"http://127.0.0.1:{service.web_port}/stats?format=json"
        yield f"{service.name}.metrics.txt", lambda url=metrics: _page(url)
        yield f"{service.name}.stats.json", lambda url=stats: _page(url)


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PAGE_WITHIN_S) as answer:
        return answer.read(LOG_BYTES).decode(errors="replace")


def _logs(logs: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    for path in sorted(logs.glob("*.log*")) if logs.is_dir() else ():
        yield f"logs/{path.name}", lambda path=path: _end(path)


def _end(path: Path) -> str:
    """Whole lines."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES))
        content = file.read()
    return (content if size <= LOG_BYTES else content.partition(b"\n")[2]).decode(errors="replace")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str)
