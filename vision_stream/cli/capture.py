"""``vision-stream capture``: look at cameras, tell what is there; over Kafka where that is on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vision_stream.settings import Settings

GROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Backend(StrEnum):
    onnx = "onnx"
    ultralytics = "ultralytics"


def capture(
    camera: Annotated[str | None, typer.Option(help="its id; without --source: one of config/cameras.yaml")] = None,
    source: Annotated[
        str | None, typer.Option(help="file, directory, rtsp:// or http:// URL, webcam index, or sim:crossing")
    ] = None,
    fps: Annotated[float | None, typer.Option(min=0.01, max=60, help="frames a second looked at, else 2")] = None,
    loop: Annotated[
        bool | None,
        typer.Option("--loop/--once", help="start files again at their end; --source alone plays once"),
    ] = None,
    realtime: Annotated[
        bool | None,
        typer.Option(
            "--realtime/--fast",
            help="play files at their own speed, or look at their frames as fast as can be; a file that is "
            "played once goes fast where Kafka is off",
        ),
    ] = None,
    detector: Annotated[Backend | None, typer.Option(help="onnx if not given")] = None,
    model: Annotated[str | None, typer.Option(help="a model file, or: demo")] = None,
    confidence: Annotated[float | None, typer.Option(min=0, max=1, help="drop objects below it")] = None,
    classes: Annotated[str | None, typer.Option(help="names to keep, as: person,car")] = None,
    group: Annotated[
        str | None, typer.Option(help="share the cameras of config/cameras.yaml with the other workers of this group")
    ] = None,
    api_cameras: Annotated[
        bool,
        typer.Option(
            "--api-cameras/--no-api-cameras",
            help="watch also cameras that only the API describes; of several groups, one alone should",
        ),
    ] = True,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="end after these")] = None,
    config_dir: Annotated[Path | None, typer.Option(help="of the YAML files")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print what was found for a script")] = False,
) -> None:
    """Detect and group what cameras see. Without Kafka it prints what it found; with
    [b]ALGO_ENABLE_KAFKA_STREAMING=true[/b] it publishes each frame's detections."""
    from vision_stream import config, live, logs
    from workers.capture.following import Follow
    from workers.capture.run import Plan, chosen_cameras, run

    live.outlive_sighup()
    overrides = {
        "model.backend": detector.value if detector else None,
        "model.path": model,
        "model.confidence": confidence,
        "model.classes": tuple(filter(None, map(str.strip, classes.split(",")))) if classes else None,
    }
    reload = partial(config.load, config_dir, overrides=overrides)
    settings = reload()
    logs.setup(settings.log_level, settings.log_format)
    warn_of_passwords([source] if source else [])
    check_group(group, camera, source, settings)
    loop = loop if loop is not None else source is None
    realtime = realtime if realtime is not None else loop or settings.enable_kafka_streaming
    # Over Kafka, cameras may come that the configuration does not have: there may be none at the start.
    alone = source is not None or camera is not None or not settings.enable_kafka_streaming
    chosen = chosen_cameras(settings, camera, source, fps) if alone else ()
    reread = partial(config.load_with_places, config_dir, overrides)
    plan = Plan(
        cameras=chosen if source is not None else settings.cameras.cameras,
        loop=loop,
        realtime=realtime,
        seconds=seconds,
        as_json=as_json,
        follow=Follow(reread, camera, fps, group, api_cameras) if source is None else None,
    )
    raise typer.Exit(run(settings, plan, reload))


def check_group(group: str | None, camera: str | None, source: str | None, settings: Settings) -> None:
    """Raises ConfigError: there cannot be such a group."""
    from vision_stream.errors import ConfigError

    if group is None:
        return
    if camera is not None or source is not None:
        raise ConfigError(
            "--group with " + ("--source" if source is not None else "--camera"),
            remedy="a group shares all cameras of config/cameras.yaml: leave one of the two out",
        )
    if not settings.enable_kafka_streaming:
        raise ConfigError("--group without Kafka", remedy="set ALGO_ENABLE_KAFKA_STREAMING=true")
    if not GROUP_NAME.fullmatch(group):
        raise ConfigError(
            f"--group {group!r} is no name", remedy="letters, digits, `_`, `.` and `-`, at most 100 of them"
        )


def warn_of_passwords(sources: Iterable[str]) -> None:
    """Every user of the machine can list command lines, with what they hold."""
    from vision_stream.redaction import redact_url

    if any(redact_url(source) != source for source in sources):
        typer.echo(
            "warning: a password on the command line shows in the list of processes; "
            'remedy: write the source into config/cameras.yaml, as "rtsp://user:${CAM_PASSWORD}@10.0.0.7/stream"',
            err=True,
        )


def register(app: typer.Typer) -> None:
    app.command()(capture)
