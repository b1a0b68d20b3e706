"""``vision-stream simulate``: an LLM endpoint, the load of many cameras, pictures of a scene."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vision_stream.errors import ConfigError

if TYPE_CHECKING:
    from vision_stream.simulators.llm import SimulatedKey
    from vision_stream.simulators.load import Load

commands = typer.Typer(
    name="simulate", help="Stand-ins for LLM endpoints, many cameras and a scene.", no_args_is_help=True
)


@commands.command()
def llm(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 8001,
    latency: Annotated[str, typer.Option(help="seconds, or lognormal:MEDIAN,P95")] = "lognormal:1.2,4",
    keys: Annotated[
        str, typer.Option(help="how many (key-001 with the secret sk-sim-001, ...), or ID=SECRET,ID=SECRET")
    ] = "3",
    qps: Annotated[float | None, typer.Option(min=0.001, help="calls a second and key")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="calls a minute and key")] = None,
    judge: Annotated[
        Literal["truth", "hash"], typer.Option(help="truth: looks at the picture; hash: never, for load tests")
    ] = "truth",
    structured_output: Annotated[
        Literal["json_schema", "json_object", "none"], typer.Option(help="the most that is accepted")
    ] = "json_schema",
    seed: Annotated[int, typer.Option(help="of latencies and faults")] = 0,
    call_log: Annotated[Path | None, typer.Option(help="append each call as a JSON line")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="end after this; else at Ctrl-C")] = None,
) -> None:
    """Run an OpenAI-compatible endpoint that enforces limits, judges simulated scenes and fails on demand.

    POST /control switches faults, GET /calls shows the log.
    """
    from vision_stream.simulators.llm import SimulatorOptions, parse_latency

    options = SimulatorOptions(
        keys=_keys(keys, qps, rpm),
        latency=parse_latency(latency),
        judge=judge,
        structured_output=structured_output,
        seed=seed,
        call_log=call_log,
        host=host,
        port=port,
    )
    asyncio.run(_serve_llm(options, seconds))


async def _serve_llm(options, seconds: float | None) -> None:
    from vision_stream.simulators.llm import LLMSimulator

    simulator = LLMSimulator(options)
    try:
        await simulator.start()
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {options.host}:{options.port}: {error.strerror}", remedy="give a free --port, or 0"
        ) from error
    try:
        print(f"LLM simulator: OPENAI_BASE_URL={simulator.base_url} with {len(options.keys)} keys", flush=True)
        await (asyncio.sleep(seconds) if seconds is not None else asyncio.Event().wait())
    finally:
        await simulator.stop()


def _keys(text: str, qps: float | None, rpm: int | None) -> tuple[SimulatedKey, ...]:
    from vision_stream.simulators.llm.options import SimulatedKey, numbered_keys

    if text.isdecimal() and 1 <= int(text) <= 10_000:
        return numbered_keys(int(text), qps_limit=qps, rpm_limit=rpm)
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(key_id and secret for key_id, _, secret in pairs):
        raise ConfigError(
            "--keys is neither a number from 1 to 10000 nor a list ID=SECRET", remedy="give --keys 3, or --keys a=sk-1"
        )
    return tuple(SimulatedKey(key_id, secret, qps, rpm) for key_id, _, secret in pairs)


@commands.command()
def traffic(
    cameras: Annotated[int, typer.Option(min=1, max=10_000)] = 10,
    fps: Annotated[float, typer.Option(min=0.01, max=1000, help="detections a second and camera")] = 2.0,
    seconds: Annotated[float, typer.Option(min=0.1)] = 30.0,
    groups: Annotated[int, typer.Option(min=0, max=200, help="groups in each detection")] = 2,
    scene: Annotated[str, typer.Option(help="whose pictures the groups get; empty: none")] = "sim:crossing",
    bootstrap_servers: Annotated[str | None, typer.Option(help="host:port of Kafka; else as configured")] = None,
    config: Annotated[Path | None, typer.Option(help="directory of the configuration files")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Publish the load of many cameras to Kafka's detection-results, each delivery confirmed and counted."""
    import time

    from vision_stream import config as configuration
    from vision_stream.simulators.load import Load

    overrides = {"kafka": {"bootstrap_servers": [bootstrap_servers]}} if bootstrap_servers else None
    settings = configuration.load(config, overrides)
    session = f"load-{time.time_ns() // 1_000_000}"  # a later run is a new session, not a replay
    load = Load(cameras=cameras, fps=fps, seconds=seconds, groups=groups, session=session, seed=seed)
    report = asyncio.run(_publish(load, settings.kafka, _pictures(scene)))
    print(json.dumps(report) if as_json else "  ".join(f"{name}: {value}" for name, value in report.items()))


async def _publish(load: Load, kafka, pictures: list[bytes]) -> dict[str, float]:
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaError

    from vision_stream.kafka_client import client_options, unreachable
    from vision_stream.simulators.load_run import publish

    producer = AIOKafkaProducer(**client_options(kafka), acks="all", enable_idempotence=True)
    try:
        async with asyncio.timeout(kafka.connect_timeout_s):
            await producer.start()
    except (KafkaError, OSError, TimeoutError) as error:
        await producer.stop()
        raise unreachable(kafka, error) from error
    try:
        return await publish(load, producer, kafka.topics.detection_results.name, pictures)
    finally:
        await producer.stop()


def _pictures(scene: str) -> list[bytes]:
    if not scene:
        return []
    from vision_stream.simulators.load_pictures import pictures

    try:
        return pictures(scene)
    except ValueError as error:
        raise _no_scene(error) from error


@commands.command()
def replay(
    log: Annotated[Path, typer.Argument(help="JSON lines of risk-assessment-results, or of simulate llm --call-log")],
    config_dir: Annotated[Path | None, typer.Option("--config-dir", help="with the api_keys.yaml to try")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Try other API keys, limits or budgets on a log of calls: what would have waited, expired and cost.

    Nobody is called, and no time passes but the computer's own.
    """
    import msgspec

    from vision_stream import config as configuration
    from vision_stream.llm.replay import read
    from vision_stream.llm.replay import replay as run_replay

    settings = configuration.load(config_dir)
    try:
        with log.open("rb") as lines:
            tasks, unread = read(lines, settings.kafka.scheduler.task_deadline_s)
    except OSError as error:
        raise ConfigError(f"cannot read {log}: {error.strerror}", remedy="give a file of JSON lines") from error
    if unread:
        typer.echo(f"{unread} lines of {log} are no calls and were passed over", err=True)
    report = msgspec.to_builtins(run_replay(tasks, settings.llm, settings.kafka.scheduler))
    print(json.dumps(report) if as_json else "\n".join(f"{name}: {value}" for name, value in report.items()))


@commands.command()
def scene(
    name: Annotated[str, typer.Argument(help="sim:crossing, sim:junction, sim:highway, sim:site, sim:quiet")],
    out: Annotated[Path, typer.Option(help="a directory for pictures, or a .mp4 or .avi file")] = Path("frames"),
    seconds: Annotated[float, typer.Option(min=0.1, max=3600)] = 10.0,
    fps: Annotated[float, typer.Option(min=0.1, max=60)] = 10.0,
) -> None:
    """Write a simulated scene as pictures or as a video."""
    from vision_stream.simulators.scene_files import write_pictures, write_video

    write = write_video if out.suffix.lower() in (".mp4", ".avi") else write_pictures
    count = write(_scene(name), out, seconds=seconds, fps=fps)
    print(f"{count} frames of {name} written to {out}")


def _scene(address: str):
    from vision_stream.simulators.traffic import parse_scene

    try:
        return parse_scene(address)
    except ValueError as error:
        raise _no_scene(error) from error


def _no_scene(error: ValueError) -> ConfigError:
    return ConfigError(str(error), remedy="as sim:crossing?seed=3&width=1280&height=720")


def register(app: typer.Typer) -> None:
    app.add_typer(commands)
