"""``vision-stream capture``: look at cameras, tell what is there; over Kafka where that is on."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer


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
    seconds: Annotated[float | None, typer.Option(min=0.1, help="end after these")] = None,
    config_dir: Annotated[Path | None, typer.Option(help="of the YAML files")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print what was found for a script")] = False,
) -> None:
    """Detect and group what cameras see. Without Kafka it prints what it found; with
    [b]ALGO_ENABLE_KAFKA_STREAMING=true[/b] it publishes each frame's detections."""
    from vision_stream import config, live, logs
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
    loop = loop if loop is not None else source is None
    realtime = realtime if realtime is not None else loop or settings.enable_kafka_streaming
    plan = Plan(
        cameras=chosen_cameras(settings, camera, source, fps),
        loop=loop,
        realtime=realtime,
        seconds=seconds,
        as_json=as_json,
        reread=partial(config.load_with_places, config_dir, overrides) if source is None else None,
        only=camera,
        fps=fps,
    )
    raise typer.Exit(run(settings, plan, reload))


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
