"""Whether limits hold as the server sees it: several scheduler processes, more load than the keys allow.

    python benchmarks/llm_limits.py [--processes 1 4 8] [--load 2 3] [--seconds 30] [--keys 4] [--qps 20]
    python benchmarks/llm_limits.py --rpm 120 --seconds 190
    python benchmarks/llm_limits.py --redis

An LLM simulator in a process of its own logs when each request reached it, refused ones too; the schedulers share the
keys and are offered ``load`` times what these allow. Shown of each combination: the most that any key got in any
sliding second (or minute), in calls and as a multiple of its limit; how much of the allowed total was used, which is
how soon after a call had left the window the next took its place; how many calls were answered 429; and what became of
the tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + bytes(2000) + b"\xff\xd9"


def limits_of(options: argparse.Namespace) -> dict[str, Any]:
    return {"qps_limit": None if options.rpm else options.qps, "rpm_limit": options.rpm}


async def serve(options: argparse.Namespace) -> None:
    """Print the port, and log calls until killed or told to end."""
    from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatorOptions
    from vision_stream.simulators.llm.options import numbered_keys

    simulated = SimulatorOptions(
        keys=numbered_keys(options.keys, **limits_of(options)),
        latency=Fixed(options.latency),
        judge="hash",
        call_log=Path(options.directory) / "calls.jsonl",
    )
    async with LLMSimulator(simulated) as simulator:
        print(simulator.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def schedule(options: argparse.Namespace) -> None:
    """Offer tasks at an even rate for a while, and print what became of them."""
    from pydantic import SecretStr

    from vision_stream.llm.cooldowns import MemoryCooldowns
    from vision_stream.llm.scheduler import LLMScheduler
    from vision_stream.settings import LLMSettings, SchedulerSettings
    from vision_stream.stores.evidence import MemoryEvidence
    from vision_stream.stores.redis_link import RedisLink

    keys = [
        {"id": f"key-{n:03}", "api_key": f"sk-sim-{n:03}", "base_url": options.base_url, **limits_of(options)}
        for n in range(1, options.keys + 1)
    ]
    llm = LLMSettings.model_validate({"keys": keys, "limit_jitter_s": options.jitter, "require_picture": False})
    redis = RedisLink(SecretStr(options.redis_url)) if options.redis_url else None
    scheduler = LLMScheduler(
        llm,
        SchedulerSettings(max_concurrent_tasks=500),
        MemoryEvidence(),
        MemoryCooldowns(),
        limits_dir=Path(options.directory),
        redis=redis,
    )
    await scheduler.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    outcomes: Counter[str] = Counter()

    async def one(number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        outcome = await scheduler.assess(a_task(number, options.patience))
        outcomes[type(outcome).__name__.lower()] += 1

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for n in range(int(options.rate * options.seconds)):
            due = began + n / options.rate
            if n % 100 == 0:
                await asyncio.sleep(max(0.0, due - time.monotonic() - 0.5))
            group.create_task(one(n, due))
    await scheduler.close()
    print(json.dumps(outcomes))


def a_task(number: int, patience_s: float) -> Any:
    from vision_stream.messages import AssessmentTask, Box, DetectedObject, Group, InlineEvidence, StageTimes

    now, box = time.time(), Box(x1=0, y1=0, x2=10, y2=10)
    group = Group(
        index=0,
        box=box,
        members=(0, 1),
        label_counts={"car": 2},
        mean_confidence=0.9,
        evidence=InlineEvidence(jpeg=JPEG),
    )
    return AssessmentTask(
        task_id=f"c:{os.getpid()}:{number}/0",
        request_id=f"c:{os.getpid()}:{number}",
        camera_id="c",
        group=group,
        objects=tuple(DetectedObject(object_id=n, label="car", confidence=0.9, box=box) for n in range(2)),
        group_count=1,
        priority=number % 100,
        deadline=now + patience_s,
        times=StageTimes(captured_at=now, detected_at=now),
        frame_width=1920,
        frame_height=1080,
    )


def judged(calls: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, float]:
    """What the server saw of all keys together; of the worst key where one is meant."""
    from vision_stream.audit.calls import busiest

    limit, span_s = (options.rpm, 60.0) if options.rpm else (int(options.qps), 1.0)
    worst, reused_after = 0, list[float]()
    for key in {call["key"] for call in calls}:
        times = sorted(call["at"] for call in calls if call["key"] == key)
        worst = max(worst, busiest(times, span_s)[0])
        # At best each call takes the place of the one that left the window at that moment.
        reused_after += [later - at for at, later in zip(times, times[limit:], strict=False)]
    used = span_s / statistics.fmean(reused_after) if reused_after else 0.0
    refused = sum(call["status"] == 429 for call in calls)
    return {"worst": worst, "of_limit": worst / limit, "used": used, "refused": refused, "calls": len(calls)}


async def combination(options: argparse.Namespace, processes: int, load: float) -> dict[str, float]:
    from vision_stream.redis_server import RedisServer

    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        redis_url = (await stack.enter_async_context(RedisServer())).url if options.redis else ""
        allowed_s = options.keys * (options.rpm / 60 if options.rpm else int(options.qps))
        flags = ["--keys", options.keys, "--qps", options.qps, "--directory", directory, "--latency", options.latency]
        flags += ["--rpm", options.rpm] if options.rpm else []
        flags += ["--jitter", options.jitter, "--redis-url", redis_url, "--seconds", options.seconds]
        flags += ["--patience", options.patience]
        server = _started(stack, ["--serve", *flags])
        base_url = await asyncio.to_thread(_line, server)
        rate = allowed_s * load / processes
        command = ["--schedule", "--base-url", base_url, "--rate", rate, *flags]
        schedulers = [_started(stack, command) for _ in range(processes)]
        for scheduler in schedulers:
            assert await asyncio.to_thread(_line, scheduler) == "ready"
        for scheduler in schedulers:  # before any is waited for: there may be more of them than threads to wait in
            assert scheduler.stdin is not None
            scheduler.stdin.write("go\n")
            scheduler.stdin.flush()
        outputs = [await asyncio.to_thread(scheduler.communicate) for scheduler in schedulers]
        await asyncio.to_thread(server.communicate, "")
        calls = [json.loads(line) for line in (Path(directory) / "calls.jsonl").read_text().splitlines()]
        outcomes = sum((Counter(json.loads(output.splitlines()[-1])) for output, _ in outputs), Counter[str]())
        return {"processes": processes, "load": load, **judged(calls, options), **outcomes}


def _started(stack: AsyncExitStack, command: list[Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stack.callback(process.kill)
    return process


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(("http://", "ready")):
            return line.strip()
    raise RuntimeError("it ended early")


async def run(options: argparse.Namespace) -> None:
    window = "minute" if options.rpm else "second"
    if not options.json:
        limit = f"{options.rpm} a minute" if options.rpm else f"{options.qps:g} a second"
        print(f"{options.keys} keys at {limit}, {options.seconds:g} s, margin {options.jitter * 1000:g} ms")
        print(
            f"{'processes':>9}{'load':>6}{'worst ' + window:>14}{'x limit':>9}{'used':>8}{'429s':>7}{'calls':>7}  tasks"
        )
    for processes in options.processes:
        for load in options.load:
            found = await combination(options, processes, load)
            if options.json:
                print(json.dumps(found), flush=True)
                continue
            tasks = ", ".join(f"{found[name]:g} {name}" for name in ("assessed", "expired", "failed") if name in found)
            print(
                f"{processes:9}{load:6g}{found['worst']:14g}{found['of_limit']:9.2f}{found['used']:8.1%}"
                f"{found['refused']:7g}{found['calls']:7g}  {tasks}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--load", type=float, nargs="+", default=[2.0, 3.0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--keys", type=int, default=4)
    parser.add_argument("--qps", type=float, default=20.0)
    parser.add_argument("--rpm", type=int)
    parser.add_argument("--latency", type=float, default=0.2, help="of an answer, seconds")
    parser.add_argument("--patience", type=float, default=5.0, help="a task's time to its deadline, seconds")
    parser.add_argument("--jitter", type=float, default=0.025, help="llm.limit_jitter_s")
    parser.add_argument("--redis", action="store_true", help="count in Redis instead of files")
    parser.add_argument("--json", action="store_true", help="a line a combination")
    for hidden in ("--serve", "--schedule"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    for hidden in ("--directory", "--base-url", "--redis-url"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = serve if options.serve else schedule if options.schedule else run
    asyncio.run(work(options))


if __name__ == "__main__":
    main()
