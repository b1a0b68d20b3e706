"""How long one scrape of ``/metrics`` holds the event loop of a process that watches many cameras.

    python benchmarks/scrape.py [--cameras 1000] [--rounds 15]

The loop's ticker wants to run each millisecond; the longest that it was late while the page was made and sent is the
stall, whoever held the loop or the interpreter's lock. The page is fetched by another process. Ways take turns:

idle               nothing is fetched: what the machine itself does to the ticker
ours               ``metrics.serve``, as capture workers do
plain, on a thread prometheus_client's own server over as many plain counters with one label, as it comes
plain, on the loop the same page made by a handler on the loop, as most aiohttp applications do

CPU: of one page, made with nothing else going on. Milliseconds; medians over the rounds, and the worst stall.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from vision_stream import metrics
from vision_stream.background import Background
from vision_stream.camera_metrics import CameraMetrics
from vision_stream.server_process import free_ports

TICK_S = 0.001
IDLE_S = 0.3  # about what a scrape takes
LIMIT_MS = 50.0
ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"  # as Prometheus asks
FETCH = f"""
from sys import stdin
from urllib.request import Request, urlopen
for url in stdin:
    print(len(urlopen(Request(url.strip(), headers={{"Accept": "{ACCEPT}"}}), timeout=30).read()), flush=True)
"""


@dataclass
class Way:
    scrape: Callable[[], Awaitable[object]]
    stalls_ms: list[float] = field(default_factory=list)

    @property
    def median_ms(self) -> float:
        return statistics.median(self.stalls_ms)


class Ticker:
    """Runs each millisecond, and remembers how late it was at most."""

    def __init__(self) -> None:
        self.latest_s = 0.0

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self.latest_s = max(self.latest_s, time.perf_counter() - due)


class Scraper:
    """Another process that fetches what it is told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asks, self._answers = process.stdin, process.stdout

    async def fetch(self, url: str) -> int:
        """Returns the page's bytes."""
        self._asks.write(f"{url}\n".encode())
        return int(await asyncio.wait_for(self._answers.readline(), 60))


@asynccontextmanager
async def scraper() -> AsyncIterator[Scraper]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FETCH, stdin=pipe, stdout=pipe)
    try:
        yield Scraper(process)
    finally:
        process.kill()
        await process.wait()


def watch(cameras: int) -> None:
    """Let this process look as if it watched them."""
    for number in range(cameras):
        counts = CameraMetrics(f"cam-{number:04}")
        counts.begin()
        counts.captured()
        counts.inferred(0.0123)
        counts.published(time.time())
        counts.skipped("detector failed")


def plain_counters(samples: int, cameras: int) -> CollectorRegistry:
    """Over families with a series a camera each, until there are ``samples``."""
    registry = CollectorRegistry()
    for family in range(round(samples / cameras)):
        counter = Counter(f"plain_{family}_total", "As many as ours.", ["camera"], registry=registry)
        for number in range(cameras):
            counter.labels(f"cam-{number:04}").inc(1.5 * number)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    encoder, _ = choose_encoder(ACCEPT)
    return encoder(registry)


def samples_of(page: bytes) -> int:
    return sum(not line.startswith(b"#") for line in page.splitlines())


def cpu_ms(registry: CollectorRegistry, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        before = time.thread_time()
        render(registry)
        times.append(time.thread_time() - before)
    return statistics.median(times) * 1000


async def on_the_loop(registry: CollectorRegistry) -> None:
    render(registry)
    await asyncio.sleep(TICK_S)


async def measure(ways: Mapping[str, Way], rounds: int) -> None:
    ticker, background = Ticker(), Background()
    background.spawn(ticker.run(), name="ticker")
    try:
        for _ in range(rounds):
            for way in ways.values():
                await asyncio.sleep(5 * TICK_S)
                ticker.latest_s = 0.0
                await way.scrape()
                await asyncio.sleep(TICK_S)
                way.stalls_ms.append(ticker.latest_s * 1000)
    finally:
        await background.close()


async def run(cameras: int, rounds: int) -> int:
    watch(cameras)
    page = render(REGISTRY)
    samples = samples_of(page)
    plain = plain_counters(samples, cameras)
    ours_port, plain_port = free_ports(2)
    metrics.serve(ours_port, tries=1)
    prometheus_client.start_http_server(plain_port, addr="127.0.0.1", registry=plain)
    async with scraper() as other:
        ways = {
            "idle": Way(lambda: asyncio.sleep(IDLE_S)),
            "ours": Way(lambda: other.fetch(f"http://127.0.0.1:{ours_port}/metrics")),
            "plain, on a thread": Way(lambda: other.fetch(f"http://127.0.0.1:{plain_port}/metrics")),
            "plain, on the loop": Way(lambda: on_the_loop(plain)),
        }
        await measure(ways, rounds)
    return report(ways, cameras, samples, len(page), {"ours": REGISTRY, "plain": plain}, rounds)


def report(
    ways: Mapping[str, Way],
    cameras: int,
    samples: int,
    size: int,
    registries: Mapping[str, CollectorRegistry],
    rounds: int,
) -> int:
    cpu = {name: cpu_ms(registry, rounds) for name, registry in registries.items()}
    print(f"{cameras} cameras, {samples} samples, {size / 1000:.0f} kB; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'way':<20}{'CPU':>8}{'stall':>8}{'worst':>8}   ms")
    for name, way in ways.items():
        of_page = f"{cpu[name.split(',')[0]]:.1f}" if name != "idle" else "-"
        print(f"{name:<20}{of_page:>8}{way.median_ms:>8.1f}{max(way.stalls_ms):>8.1f}")
    figures = {
        "benchmark": "scrape",
        "cameras": cameras,
        "samples": samples,
        "bytes": size,
        "cpu_ms": {name: round(value, 2) for name, value in cpu.items()},
        "stall_ms": {name: round(way.median_ms, 2) for name, way in ways.items()},
        "worst_stall_ms": {name: round(max(way.stalls_ms), 2) for name, way in ways.items()},
        "limit_ms": LIMIT_MS,
    }
    print(json.dumps(figures))
    return 0 if ways["ours"].median_ms < LIMIT_MS else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.cameras, arguments.rounds)))


if __name__ == "__main__":
    main()
