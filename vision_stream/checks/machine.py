"""This machine: Python and its packages, the model's file, disk space, ports, what confines a decoder, and the keys."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import socket
import sys
from functools import partial
from importlib import metadata, resources
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout
from packaging.requirements import Requirement

from vision_stream.checks.finding import WITHIN_S, Finding
from vision_stream.confined import CONFINING, can_confine
from vision_stream.own_thread import in_own_thread
from vision_stream.redaction import redact_url
from vision_stream.settings import Settings

NEEDED_MB, COMFORTABLE_MB = 100, 1000  # of free disk
TOLD = ("faust-streaming", "aiokafka", "redis", "openai")  # whose versions a supporter asks for first
PORTS_TRIED = 40  # as metrics.serve does
THREAD = "doctor"  # of looks that can block: a dead network disk, a silent name server
PARTS = ("aiohttp", "aiokafka", "faust", "cv2", "msgspec", "numpy", "redis", "scipy", "structlog")


async def python(settings: Settings) -> Finding:
    if shadowed := _shadowed():
        remedy = "use an environment of its own: `agents` and `tables` are names of other packages too"
        return Finding("python", "wrong", f"another package's {', '.join(shadowed)}", remedy, 1)
    return Finding("python", "ok", f"{platform.python_version()}, {sys.executable}")


def _shadowed() -> list[str]:
    """Our top-level packages that would be imported from somewhere else."""
    here = Path(__file__).resolve().parents[2]
    found = {name: importlib.util.find_spec(name) for name in ("agents", "tables", "workers")}
    return [name for name, spec in found.items() if spec and spec.origin and Path(spec.origin).parents[1] != here]


async def parts(settings: Settings) -> Finding:
    backend = {"onnx": "onnxruntime", "ultralytics": "ultralytics"}[settings.model.backend]
    missing = [name for name in (*PARTS, backend) if not _installed(name)]
    if missing:
        extra = {"onnxruntime": "vision-stream[demo]", "ultralytics": "vision-stream[yolo]"}
        wanted = " ".join(sorted({extra.get(name, "vision-stream") for name in missing}))
        return Finding("parts", "wrong", f"not installed: {', '.join(missing)}", f"pip install '{wanted}'", 1)
    return Finding("parts", "ok", f"all {len(PARTS) + 1} installed, {backend} among them")


async def versions(settings: Settings) -> Finding:
    """Is each package as new as this version of Vision Stream wants it?"""
    try:
        wanted = [Requirement(line) for line in metadata.requires("vision-stream") or ()]
    except metadata.PackageNotFoundError:
        return Finding("versions", "note", "Vision Stream runs from its sources, not installed", "`make setup`")
    ours = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = {each.name: _version(each.name) for each in ours}
    old = [
        f"{r} (found {found[r.name]})" for r in ours if found[r.name] and not r.specifier.contains(found[r.name] or "")
    ]
    if old:
        return Finding(
            "versions", "wrong", f"not as wanted: {', '.join(old)}", "pip install --upgrade vision-stream", 1
        )
    told = ", ".join(f"{name} {found[name]}" for name in TOLD if found.get(name))
    return Finding("versions", "ok", f"vision-stream {metadata.version('vision-stream')}, {told}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # the line about parts says so
        return None


async def worker_ports(settings: Settings) -> Finding:
    """Workers, capture and their kin move on to the next free port; these are where to look for them."""
    where = settings.monitoring.prometheus
    if where.port == 0:
        return Finding("ports", "note", "metrics and probes are off (monitoring.prometheus.port is 0)")
    tried = range(where.port, min(where.port + PORTS_TRIED, 65536))
    taken = [port for port in tried if not _can_bind(where.host, port)]
    if len(taken) == len(tried):
        remedy = "set ALGO_MONITORING_PROMETHEUS_PORT to where ports are free"
        return Finding("ports", "wrong", f"metrics: {tried[0]} to {tried[-1]} are all taken", remedy, 1)
    used = f", {', '.join(map(str, taken))} in use" if taken else ""
    return Finding("ports", "ok", f"metrics of the next process at {next(p for p in tried if p not in taken)}{used}")


def _can_bind(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None  # faust, imported, has no spec any more


async def keys(settings: Settings) -> Finding:
    enabled = [key for key in settings.llm.keys if key.enabled]
    if not enabled:
        remedy = "add one to config/api_keys.yaml, or set OPENAI_API_KEY; until then no risk is judged"
        return Finding("keys", "note", f"no enabled API key ({len(settings.llm.keys)} configured)", remedy)
    endpoints = sorted({redact_url(key.base_url) for key in enabled})
    return Finding("keys", "ok", f"{len(enabled)} enabled, for {', '.join(endpoints)}")


async def model(settings: Settings) -> Finding:
    name = settings.model.path
    demo = Path(str(resources.files("vision_stream") / "models" / "vision-stream-demo.onnx"))
    path = demo if name == "demo" else Path(name)
    if settings.model.backend == "ultralytics" and name != "demo" and path.parent == Path() and not path.exists():
        return Finding("model", "note", f"{name} is not here", "ultralytics downloads its own models by their names")
    if not await in_own_thread(path.is_file, name=THREAD):
        remedy = "install Vision Stream again" if name == "demo" else "correct model.path, or ALGO_MODEL_PATH"
        return Finding("model", "wrong", f"no file {path}", remedy, 1 if name == "demo" else 2)
    return Finding("model", "ok", f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


async def disk(settings: Settings) -> Finding:
    existing, free = await in_own_thread(lambda: _free_mb(Path(settings.data_dir)), name=THREAD)
    text = f"{free:.0f} MB free at {existing}"
    if free < NEEDED_MB:
        return Finding("disk", "wrong", text, f"free at least {NEEDED_MB} MB, or set ALGO_DATA_DIR", 1)
    return Finding("disk", "ok" if free >= COMFORTABLE_MB else "note", text)


def _free_mb(folder: Path) -> tuple[Path, float]:
    """The nearest folder that is there already, and the megabytes free in it."""
    folder = folder.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing, shutil.disk_usage(existing).free / 1e6


async def sandbox(settings: Settings) -> Finding:
    """Does the kernel keep decoders of what the API named from connecting elsewhere, whatever their relay overlooks?"""
    # Over Kafka another host's gateway may let them be added.
    if not (settings.gateway.camera_control or settings.enable_kafka_streaming):
        return Finding("sandbox", "unused", "no cameras over the API (gateway.camera_control is false)")
    if can_confine():
        return Finding("sandbox", "ok", "decoders of cameras that came over the API are confined (Landlock)")
    text = "no Landlock for TCP here: decoders of cameras that came over the API are guarded by their relay alone"
    return Finding("sandbox", "note", text, CONFINING)


async def gateway_port(settings: Settings) -> Finding:
    host, port = settings.gateway.host, settings.gateway.port
    where = f"{host}:{port}"
    if port == 0:
        return Finding("port", "ok", "any free one")
    try:
        # Bounded as each check is; a name server that is silent holds only its own thread.
        family, *_, address = (await in_own_thread(partial(socket.getaddrinfo, host, port), name=THREAD))[0]
    except OSError:
        remedy = "correct ALGO_GATEWAY_HOST (127.0.0.1, or 0.0.0.0 for all)"
        return Finding("port", "wrong", f"{host} is no address of this machine", remedy, 2)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if await _is_gateway(host, port):
            return Finding("port", "ok", f"a gateway already runs on {where}")
        reason = (error.strerror or str(error)).lower()
        return Finding("port", "wrong", f"{where}: {reason}", "end what uses it, or set ALGO_GATEWAY_PORT", 2)
    return Finding("port", "ok", f"{where} is free")


async def _is_gateway(host: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{host}]:{port}/healthz" if ":" in host else f"http://{host}:{port}/healthz"
    try:
        async with ClientSession(timeout=ClientTimeout(total=WITHIN_S / 2)) as session, session.get(url) as answer:
            return answer.status == 200 and "status" in await answer.text()
    except (ClientError, TimeoutError, OSError):
        return False
