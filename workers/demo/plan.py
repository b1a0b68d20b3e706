"""Which processes the demo runs, and with which settings: a pure description."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from msgspec import Struct

SCENES = ("crossing", "junction", "site", "highway", "quiet")
KEYS = 5  # of the LLM simulator: at 1 s a call, enough for a dozen cameras
KEY_QPS = 4


class DemoOptions(Struct, frozen=True, kw_only=True):
    cameras: int = 3
    fps: float = 2.0
    port: int = 8000  # of the gateway
    real_llm: bool = False  # OPENAI_API_KEY and OPENAI_BASE_URL instead of the simulator


class Ports(Struct, frozen=True, kw_only=True):
    """All known before anything starts, so that everything can start at once and find the others when they are up."""

    gateway: int
    kafka: int
    redis: int
    llm: int
    faust: int


class Program(Struct, frozen=True, kw_only=True):
    name: str
    argv: tuple[str, ...]


class Demo(Struct, frozen=True, kw_only=True):
    programs: tuple[Program, ...]  # in the order in which a person wants to see them up
    environ: dict[str, str]
    files: dict[str, str]  # of the configuration directory


def plan(options: DemoOptions, ports: Ports, config_dir: Path) -> Demo:
    programs = [_module("gateway", "workers.gateway")]
    programs += [_capture(n, options.fps) for n in range(options.cameras)]
    programs += [_worker(ports)]
    if not options.real_llm:
        programs += [_llm_simulator(ports)]
    return Demo(
        programs=tuple(programs),
        environ=_environ(ports, config_dir),
        files={} if options.real_llm else {"api_keys.yaml": _keys(ports)},
    )


def _environ(ports: Ports, config_dir: Path) -> dict[str, str]:
    return {
        "ALGO_CONFIG_DIR": str(config_dir),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports.kafka}",
        "ALGO_ENABLE_REDIS": "true",
        "ALGO_REDIS_URL": f"redis://127.0.0.1:{ports.redis}/0",
        "ALGO_GATEWAY_PORT": str(ports.gateway),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",  # each detector; the cores are shared by all of them
    }


def _module(name: str, module: str, *args: str) -> Program:
    return Program(name=name, argv=(sys.executable, "-m", module, *args))


def _capture(number: int, fps: float) -> Program:
    camera = f"cam-{number + 1:02}"
    source = f"sim:{SCENES[number % len(SCENES)]}?seed={number + 1}"
    return _module(f"capture {camera}", "workers.capture", "--camera", camera, "--source", source, "--fps", f"{fps:g}")


def _worker(ports: Ports) -> Program:
    web = ("--web-host", "127.0.0.1", "--web-port", str(ports.faust))
    return _module("Faust worker", "faust", "-A", "vision_stream", "worker", "-l", "info", *web)


def _llm_simulator(ports: Ports) -> Program:
    options = ("--port", str(ports.llm), "--keys", str(KEYS), "--qps", str(KEY_QPS), "--latency", "lognormal:0.9,2.5")
    return _module("LLM simulator", "vision_stream", "simulate", "llm", *options)


def _keys(ports: Ports) -> str:
    keys = [
        {
            "id": f"key-{n:03}",
            "api_key": f"sk-sim-{n:03}",
            "base_url": f"http://127.0.0.1:{ports.llm}/v1",
            "model": "simulated-vlm",
            "qps_limit": KEY_QPS,
        }
        for n in range(1, KEYS + 1)
    ]
    return yaml.safe_dump({"keys": keys}, sort_keys=False)
