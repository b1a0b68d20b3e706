"""``vision-stream cameras``: the cameras of the configuration, and whether they can be seen. No password is printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_stream.cli.tables import as_table

if TYPE_CHECKING:
    from vision_stream.settings import CameraSettings

ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="of the YAML files; else ALGO_CONFIG_DIR, else ./config")
]
AsJson = Annotated[bool, typer.Option("--json", help="for a script")]

commands = typer.Typer(name="cameras", help="The cameras of the configuration.", no_args_is_help=True)


@commands.command(name="list")
def list_(config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """List the cameras of config/cameras.yaml, without opening any."""
    from vision_stream import config

    _print([_row(camera) for camera in config.load(config_dir).cameras.cameras], as_json)


@commands.command(name="test")
def try_all(
    camera: Annotated[list[str] | None, typer.Argument(metavar="[CAMERA]...", help="ids; none: all enabled")] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.5, max=60, help="seconds to open each")] = 10.0,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="sources opened at once")] = 8,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Open each source once, several at a time, and say what it is or why it cannot be seen; 1 if one cannot."""
    from vision_stream import config

    chosen = _chosen(config.load(config_dir).cameras.cameras, camera or [])
    with ThreadPoolExecutor(max_workers=parallel) as threads:
        rows = list(threads.map(lambda each: _tried(each, timeout_s), chosen))
    _print(rows, as_json)
    failed = sum(row["result"] != "ok" for row in rows)
    if failed:
        typer.echo(f"{failed} of {len(rows)} cameras cannot be seen", err=True)
        raise typer.Exit(1)


def _chosen(cameras: Sequence[CameraSettings], ids: Sequence[str]) -> list[CameraSettings]:
    from vision_stream.errors import ConfigError

    known = {each.id: each for each in cameras}
    for name in ids:
        if name not in known:
            remedy = "give one of " + (", ".join(known) or "... there are none")
            raise ConfigError(f"config/cameras.yaml has no camera {name}", remedy=remedy)
    return [known[name] for name in ids] or [each for each in cameras if each.enabled]


def _tried(camera: CameraSettings, timeout_s: float) -> dict[str, Any]:
    from workers.capture.probe import Unseen, probe

    found = probe(camera.source.get_secret_value(), timeout_s=timeout_s, transport=camera.rtsp_transport)
    about = {"camera": camera.id, "source": _shown(camera)}
    if isinstance(found, Unseen):
        return {**about, "result": found.cause, "size": None, "fps": None, "codec": None}
    fps = round(found.fps, 2) if found.fps is not None else None
    return {**about, "result": "ok", "size": f"{found.width}x{found.height}", "fps": fps, "codec": found.codec}


def _row(camera: CameraSettings) -> dict[str, Any]:
    return {
        "camera": camera.id,
        "name": camera.name,
        "source": _shown(camera),
        "fps": camera.fps,
        "profile": camera.prompt_profile,
        "zones": [zone.name for zone in camera.zones],
        "enabled": camera.enabled,
    }


def _shown(camera: CameraSettings) -> str:
    from vision_stream.redaction import redact_url

    return redact_url(camera.source.get_secret_value())


def _print(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print("there is no camera; write some into config/cameras.yaml")
        return
    print(as_table(rows))


def register(app: typer.Typer) -> None:
    app.add_typer(commands)
