"""``vision-stream run``: mode 1, everything in one process."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_stream.cli.capture import warn_of_passwords
from vision_stream.errors import ConfigError

if TYPE_CHECKING:
    from vision_stream.settings import CameraSettings, Settings

NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*)=(.+)", re.DOTALL)


def run(
    source: Annotated[
        list[str] | None,
        typer.Option(help="file, directory, rtsp:// or http:// URL, webcam index, or sim:crossing; repeatable"),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="the same with a name, as gate=rtsp://...; repeatable")
    ] = None,
    fps: Annotated[float | None, typer.Option(min=0.01, max=60, help="frames a second to look at")] = None,
    loop: Annotated[bool, typer.Option("--loop/--once", help="start files again at their end")] = True,
    host: Annotated[str | None, typer.Option(help="of the dashboard; others than loopback need a token")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="of the dashboard; 0: a free one")] = None,
    model: Annotated[str | None, typer.Option(help="a model file, or: demo")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="end after these")] = None,
    config_dir: Annotated[Path | None, typer.Option(help="of the YAML files")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the summary as one line of JSON")] = False,
) -> None:
    """Detect, assess and show in one process, without Kafka; what is in flight is lost at its end.

    Without --source and --camera: the cameras of config/cameras.yaml.
    """
    import asyncio

    from vision_stream import config, logs
    from workers.standalone.run import Plan
    from workers.standalone.run import run as run_standalone

    overrides: dict[str, Any] = {
        "enable_kafka_streaming": False,
        "gateway.host": host,
        "gateway.port": port,
        "model.path": model,
    }
    settings = config.load(config_dir, overrides=overrides)
    logs.setup(settings.log_level, settings.log_format)
    warn_of_passwords([*(source or ()), *(camera or ())])
    if not settings.llm.keys:
        typer.echo(
            "no API key is configured: there will be detections, and each task will fail for want of one", err=True
        )
    plan = Plan(
        cameras=_cameras(settings, source or [], camera or [], fps),
        loop=loop,
        seconds=seconds,
        follows=not source and not camera,
        fps=fps,
    )
    code, summary = asyncio.run(
        run_standalone(
            settings,
            plan,
            on_ready=lambda url: typer.echo(f"Dashboard: {url}", err=True),
            configured=partial(config.load_with_places, config_dir, overrides),
        )
    )
    print(summary.as_json() if as_json else summary.text())
    raise typer.Exit(code)


def _cameras(settings: Settings, sources: list[str], named: list[str], fps: float | None) -> tuple[CameraSettings, ...]:
    """
    Raises:
        ConfigError: there is none, one is named twice, or a --camera is not ID=SOURCE.
    """
    from vision_stream.settings import CameraSettings
    from workers.capture.run import chosen_cameras, watched

    if not sources and not named and settings.gateway.camera_control:  # the API starts some, where there is none yet
        return watched(settings.cameras.cameras, None, fps)
    if not sources and not named:
        return chosen_cameras(settings, None, None, fps)
    given = {} if fps is None else {"fps": fps}
    pairs = [(f"cam-{n:02}", source) for n, source in enumerate(sources, start=1)]
    for text in named:
        match = NAMED.fullmatch(text)
        if match is None:
            raise ConfigError("a --camera is not ID=SOURCE", remedy="as --camera gate=rtsp://10.0.0.7/stream")
        pairs.append((match[1], match[2]))
    ids = [name for name, _ in pairs]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two cameras have the id {twice}", remedy="give each its own, as --camera gate=SOURCE")
    return tuple(CameraSettings.model_validate({"id": name, "source": source, **given}) for name, source in pairs)


def register(app: typer.Typer) -> None:
    app.command()(run)
