"""Our LLM scheduler beside bare aiohttp, openai's client and LiteLLM's router: calls a second, CPU a call, latency.

    python benchmarks/llm_scheduler.py [--rounds 3] [--seconds 4] [--in-flight 50 500] [--latency 0 0.2]
                                       [--litellm [PYTHON]]

One mock server process, asked by one client process at a time, each contender in a process of its own; rounds take
turns, medians are shown. Every call sends a picture of 30 KB with one of 10 keys and has its answer decoded.
openai's aiohttp transport wants ``pip install httpx-aiohttp``. LiteLLM's pins fight with ours: with ``--litellm`` it
gets an environment of its own, made by ``uv`` the first time, or the Python of one that has it. ``--pick`` measures
choosing and reserving alone.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

KEYS = 10
PATIENCE_S = 120.0  # of openai and LiteLLM: 500 connections at once take a busy machine longer than openai's 5 s
PICTURE = b"\xff\xd8\xff" + os.urandom(30_000)
SYSTEM = "s" * 1800
ANSWER = {
    "risk_level": "low",
    "confidence": 0.9,
    "risk_types": ["vehicle_pedestrian_conflict"],
    "description": "A car passes a person.",
    "trigger_object_ids": [0],
}
COMPLETION = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "mock",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(ANSWER)}}
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 60, "total_tokens": 1060},
    }
).encode()
CONTENDERS = ("bare aiohttp", "scheduler", "scheduler, files", "openai, aiohttp", "openai, httpx")

Call = Callable[[int], Awaitable[Any]]


# -- the server


def serve(latency_s: float) -> None:
    """A server of the least that a client must be answered; prints its port."""

    class Mock(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.buffer, self.wanted = transport, bytearray(), -1

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while self._one():
                pass

        def _one(self) -> bool:
            if self.wanted < 0:
                end = self.buffer.find(b"\r\n\r\n")
                if end < 0:
                    return False
                head = bytes(self.buffer[:end]).lower()
                length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
                self.wanted = end + 4 + int(length or 0)
            if len(self.buffer) < self.wanted:
                return False
            del self.buffer[: self.wanted]
            self.wanted = -1
            if latency_s:
                asyncio.get_running_loop().call_later(latency_s, self._answer)
            else:
                self._answer()
            return True

        def _answer(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(RESPONSE)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0, backlog=2048)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(COMPLETION) + COMPLETION
)


# -- the contenders: each returns what makes one call, and what ends it


def body() -> dict[str, Any]:
    url = "data:image/jpeg;base64," + base64.b64encode(PICTURE).decode()
    content = [{"type": "text", "text": "f" * 400}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
    return {"model": "mock", "messages": messages, "max_tokens": 400, "temperature": 0}


async def bare(base_url: str) -> tuple[Call, Call]:
    import aiohttp
    import msgspec

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2000))

    async def call(number: int) -> None:
        headers = {"Authorization": f"Bearer sk-{number % KEYS}", "Content-Type": "application/json"}
        data = msgspec.json.encode(body())
        async with session.post(f"{base_url}/chat/completions", data=data, headers=headers) as response:
            completion = msgspec.json.decode(await response.read())
            msgspec.json.decode(completion["choices"][0]["message"]["content"])

    async def close(_: int) -> None:
        await session.close()

    return call, close


def a_real_picture() -> bytes:
    """Of about 30 KB."""
    import cv2
    import numpy as np

    noise = np.random.default_rng(1).integers(0, 255, (140, 210, 3), np.uint8)
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


async def scheduler(base_url: str, limits_dir: Path | None = None) -> tuple[Call, Call]:
    from vision_stream import garbage, logs
    from vision_stream.llm.cooldowns import MemoryCooldowns
    from vision_stream.llm.scheduler import LLMScheduler
    from vision_stream.messages import (
        Assessed,
        AssessmentTask,
        Box,
        DetectedObject,
        Group,
        InlineEvidence,
        StageTimes,
    )
    from vision_stream.settings import LLMSettings, SchedulerSettings
    from vision_stream.stores.evidence import MemoryEvidence

    logs.setup("INFO", "json")  # as in production: a line a call
    limits = {"qps_limit": 10_000.0, "rpm_limit": 600_000} if limits_dir else {}
    keys = [{"id": f"k{n}", "api_key": f"sk-bench-{n}", "base_url": base_url, **limits} for n in range(KEYS)]
    llm = LLMSettings.model_validate({"keys": keys})
    ours = LLMScheduler(
        llm, SchedulerSettings(max_concurrent_tasks=1000), MemoryEvidence(), MemoryCooldowns(), limits_dir=limits_dir
    )
    await ours.start()
    garbage.settle()  # and this
    box = Box(x1=0, y1=0, x2=10, y2=10)
    objects = tuple(DetectedObject(object_id=n, label="car", confidence=0.9, box=box) for n in range(2))
    group = Group(
        index=0,
        box=box,
        members=(0, 1),
        label_counts={"car": 2},
        mean_confidence=0.9,
        evidence=InlineEvidence(jpeg=a_real_picture()),
    )

    async def call(number: int) -> None:
        now = time.time()
        task = AssessmentTask(
            task_id=f"c:s:{number}/0",
            request_id=f"c:s:{number}",
            camera_id="c",
            group=group,
            objects=objects,
            group_count=1,
            priority=50,
            deadline=now + 20,
            times=StageTimes(captured_at=now, detected_at=now),
            frame_width=1920,
            frame_height=1080,
        )
        outcome = await ours.assess(task)
        assert isinstance(outcome, Assessed), outcome

    async def close(_: int) -> None:
        await ours.close()

    return call, close


async def openai_client(base_url: str, *, quick: bool) -> tuple[Call, Call]:
    import openai

    make: Any = openai.DefaultAioHttpClient if quick else openai.DefaultAsyncHttpxClient
    clients = [
        openai.AsyncOpenAI(
            api_key=f"sk-{n}",
            base_url=base_url,
            max_retries=0,
            timeout=PATIENCE_S,
            http_client=make(limits=_httpx_limits(), timeout=PATIENCE_S),
        )
        for n in range(KEYS)
    ]

    async def call(number: int) -> None:
        answer = await clients[number % KEYS].chat.completions.create(**body())
        json.loads(answer.choices[0].message.content or "")

    async def close(_: int) -> None:
        for client in clients:
            await client.close()

    return call, close


def _httpx_limits() -> Any:
    import httpx

    return httpx.Limits(max_connections=2000, max_keepalive_connections=2000)


async def litellm_router(base_url: str, *, strategy: str) -> tuple[Call, Call]:
    import litellm  # pyright: ignore[reportMissingImports]

    litellm.suppress_debug_info = True
    models = [
        {
            "model_name": "mock",
            "litellm_params": {
                "model": "openai/mock",
                "api_key": f"sk-{n}",
                "api_base": base_url,
                "timeout": PATIENCE_S,
            },
        }
        for n in range(KEYS)
    ]
    router = litellm.Router(model_list=models, routing_strategy=strategy, num_retries=0)

    async def call(number: int) -> None:
        answer = await router.acompletion(**body())
        json.loads(answer.choices[0].message.content)

    async def close(_: int) -> None: ...

    return call, close


async def contender(name: str, base_url: str, limits_dir: Path) -> tuple[Call, Call]:
    if name == "bare aiohttp":
        return await bare(base_url)
    if name.startswith("scheduler"):
        return await scheduler(base_url, limits_dir if "files" in name else None)
    if name.startswith("openai"):
        return await openai_client(base_url, quick="aiohttp" in name)
    return await litellm_router(base_url, strategy=name.removeprefix("litellm, "))


# -- measuring


async def measure(name: str, base_url: str, in_flight: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        call, close = await contender(name, base_url, Path(directory))
        await asyncio.gather(*(call(n) for n in range(in_flight)))  # connections, caches
        latencies: list[float] = []
        cpu, began = _cpu(), time.perf_counter()

        async def caller(first: int) -> None:
            number = first
            while (now := time.perf_counter()) - began < seconds:
                await call(number)
                latencies.append(time.perf_counter() - now)
                number += in_flight

        await asyncio.gather(*(caller(n) for n in range(in_flight)))
        took, cpu = time.perf_counter() - began, _cpu() - cpu
        await close(0)
    return {
        "calls_s": len(latencies) / took,
        "cpu_us": cpu / len(latencies) * 1e6,
        "p95_ms": statistics.quantiles(latencies, n=20)[-1] * 1000,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def pick(reservations: int = 100_000) -> None:
    """CPU of choosing a key of ten, reserving, stamping and reporting."""
    from vision_stream.llm.pool import KeyPool, Lease, PooledKey
    from vision_stream.llm.shared_limits import LimitsDirectory

    keys = [PooledKey(id=f"k{n}", qps_limit=10_000, rpm_limit=600_000) for n in range(KEYS)]
    with tempfile.TemporaryDirectory() as directory:
        for name, limits in (("one process", None), ("files", LimitsDirectory(Path(directory)))):
            pool, picking, whole = KeyPool(keys, limits=limits), 0.0, 0.0
            for n in range(reservations):
                now = n / 10_000
                before = time.process_time()
                lease = pool.acquire(now)
                picked = time.process_time()
                assert isinstance(lease, Lease)
                pool.report_sent(lease, now)
                pool.report_answered(lease, now)
                picking, whole = picking + picked - before, whole + time.process_time() - before
            picking, whole = (seconds / reservations * 1e6 for seconds in (picking, whole))
            print(f"{name}: pick + reserve {picking:.1f} us, to the report {whole:.1f} us")


def litellm_python() -> str:
    """Of an environment with LiteLLM, in the temporary directory."""
    place = Path(tempfile.gettempdir()) / "vision-stream-litellm"
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, place], check=True)
    if subprocess.run([python, "-c", "import litellm"], capture_output=True).returncode:
        subprocess.run(["uv", "pip", "install", "--quiet", "-p", python, "litellm"], check=True)
    return str(python)


def run_all(options: argparse.Namespace) -> None:
    if options.litellm == "":
        options.litellm = litellm_python()
    names = [*CONTENDERS, *(f"litellm, {s}" for s in ("simple-shuffle", "least-busy") if options.litellm)]
    for latency_s in options.latency:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(latency_s)], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        try:
            for in_flight in options.in_flight:
                found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
                for _ in range(options.rounds):
                    for name in names:
                        found[name].append(_in_a_process(name, base_url, in_flight, options))
                _print(latency_s, in_flight, found)
        finally:
            server.kill()
            server.wait()


def _in_a_process(name: str, base_url: str, in_flight: int, options: argparse.Namespace) -> dict[str, float]:
    python = options.litellm if name.startswith("litellm") else sys.executable
    command = [python, __file__, "--measure", name, base_url, str(in_flight), str(options.seconds)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _print(latency_s: float, in_flight: int, found: dict[str, list[dict[str, float]]]) -> None:
    medians = {
        name: {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
        for name, runs in found.items()
    }
    base = medians["bare aiohttp"]
    print(f"\nlatency {latency_s * 1000:g} ms, {in_flight} in flight")
    print(f"{'':24}{'calls/s':>9}{'of bare':>9}{'CPU us':>9}{'x bare':>8}{'p95 ms':>9}{'added':>8}")
    for name, figures in medians.items():
        calls_s, cpu_us, p95_ms = figures["calls_s"], figures["cpu_us"], figures["p95_ms"]
        print(
            f"{name:24}{calls_s:9.0f}{calls_s / base['calls_s']:9.2f}{cpu_us:9.0f}{cpu_us / base['cpu_us']:8.2f}"
            f"{p95_ms:9.1f}{p95_ms - base['p95_ms']:8.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.2])
    parser.add_argument("--litellm", nargs="?", const="", help="beside LiteLLM's router; Python of its environment")
    parser.add_argument("--pick", action="store_true")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
    elif options.measure:
        name, base_url, in_flight, seconds = options.measure
        print(json.dumps(asyncio.run(measure(name, base_url, int(in_flight), float(seconds)))))
    elif options.pick:
        pick()
    else:
        run_all(options)


if __name__ == "__main__":
    main()
