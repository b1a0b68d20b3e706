"""What bad keys cost: how long tasks take with three of ten keys failing, beside ten good ones.

    python benchmarks/llm_failover.py [--rounds 3] [--seconds 20] [--in-flight 50] [--faults 401 429 503 cut timeout]

An LLM simulator and a scheduler in a process each; the keys are bad from the first call on. Rounds take turns; shown
are the medians over the rounds of a task's p50 and p99, what p99 is beside the good keys', and in a round how many
tasks there were, how many of them were not assessed, and how many calls the bad keys got.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from llm_limits import a_task

KEYS, BAD = 10, ("key-001", "key-004", "key-008")
WANTED = 1.2  # x the good keys' p99


async def serve(options: argparse.Namespace) -> None:
    from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatorOptions
    from vision_stream.simulators.llm.options import numbered_keys

    keys = numbered_keys(KEYS)
    async with LLMSimulator(SimulatorOptions(keys=keys, latency=Fixed(options.latency), judge="hash")) as simulator:
        if options.fault != "none":
            simulator.fault(options.fault, keys=BAD)
        print(simulator.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(sum(call.key in BAD and call.status != 200 for call in simulator.calls)), flush=True)


async def measure(options: argparse.Namespace) -> None:
    from vision_stream.llm.cooldowns import MemoryCooldowns
    from vision_stream.llm.scheduler import LLMScheduler
    from vision_stream.messages import Assessed
    from vision_stream.settings import LLMSettings, SchedulerSettings
    from vision_stream.stores.evidence import MemoryEvidence

    keys = [
        {"id": f"key-{n:03}", "api_key": f"sk-sim-{n:03}", "base_url": options.base_url} for n in range(1, KEYS + 1)
    ]
    llm = LLMSettings.model_validate({"keys": keys, "require_picture": False})
    with tempfile.TemporaryDirectory() as directory:
        scheduler = LLMScheduler(
            llm,
            SchedulerSettings(max_concurrent_tasks=500),
            MemoryEvidence(),
            MemoryCooldowns(),
            limits_dir=Path(directory),
        )
        await scheduler.start()
        took: list[float] = []
        lost: list[bool] = []
        end = time.monotonic() + options.seconds

        async def caller(first: int) -> None:
            number = first
            while (began := time.monotonic()) < end:
                outcome = await scheduler.assess(a_task(number, 60.0))
                took.append(time.monotonic() - began)
                lost.append(not isinstance(outcome, Assessed))
                number += options.in_flight

        await asyncio.gather(*(caller(n) for n in range(options.in_flight)))
        await scheduler.close()
    parts = statistics.quantiles(took, n=100)
    print(json.dumps({"p50": parts[49], "p99": parts[98], "calls": len(took), "lost": sum(lost)}))


def one_round(options: argparse.Namespace, fault: str) -> dict[str, float]:
    flags = [sys.executable, __file__, "--latency", str(options.latency), "--seconds", str(options.seconds)]
    flags += ["--in-flight", str(options.in_flight)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*flags, "--serve", "--fault", fault], **pipes) as server:
        assert server.stdout is not None
        base_url = next(line for line in server.stdout if line.startswith("http://")).strip()
        client = subprocess.run([*flags, "--base-url", base_url], check=True, capture_output=True, text=True)
        bad, _ = server.communicate("")
    return json.loads(client.stdout.splitlines()[-1]) | {"bad": float(bad.splitlines()[-1])}


def run_all(options: argparse.Namespace) -> None:
    faults = ["none", *options.faults]
    found: dict[str, list[dict[str, float]]] = {fault: [] for fault in faults}
    for _ in range(options.rounds):
        for fault in faults:
            found[fault].append(one_round(options, fault))
    print(f"{'fault of 3 of 10':18}{'p50 ms':>9}{'p99 ms':>9}{'x good':>8}{'tasks':>8}{'lost':>6}{'bad calls':>11}")
    good = statistics.median(run["p99"] for run in found["none"])
    for name, runs in found.items():
        names = ("p50", "p99", "calls", "lost", "bad")
        p50, p99, calls, lost, bad = (statistics.median(run[figure] for run in runs) for figure in names)
        print(
            f"{name:18}{p50 * 1000:9.1f}{p99 * 1000:9.1f}{p99 / good:8.2f}{calls:8.0f}{lost:6.0f}{bad:11.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--in-flight", type=int, default=50)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--faults", nargs="+", default=["401", "429", "503", "cut", "timeout"])
    for hidden in ("--fault", "--base-url"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options))
    elif options.base_url:
        asyncio.run(measure(options))
    else:
        run_all(options)


if __name__ == "__main__":
    main()
