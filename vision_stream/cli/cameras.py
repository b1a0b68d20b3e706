"""``vision-stream cameras``: those of the configuration and of the API, and whether they can be seen. No password is
printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_stream.cli.tables import as_table

if TYPE_CHECKING:
    from vision_stream.cli.known_cameras import Listed
    from vision_stream.settings import CameraSettings

ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="of the YAML files; else ALGO_CONFIG_DIR, else ./config")
]
AsJson = Annotated[bool, typer.Option("--json", help="for a script")]

commands = typer.Typer(name="cameras", help="The cameras of the configuration and of the API.", no_args_is_help=True)


@commands.command(name="list")
def list_(config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """List the cameras of config/cameras.yaml, and those added over the API, without opening any."""
    from vision_stream import config
    from vision_stream.cli.known_cameras import known_cameras

    _print([_row(each) for each in known_cameras(config.load(config_dir))], as_json)


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
    from vision_stream.cli.known_cameras import known_cameras

    settings = config.load(config_dir)
    chosen = _chosen(known_cameras(settings), camera or [])
    nets = settings.cameras.api_networks
    with ThreadPoolExecutor(max_workers=parallel) as threads:
        rows = list(threads.map(lambda each: _tried(each, timeout_s, nets), chosen))
    _print(rows, as_json)
    failed = sum(row["result"] != "ok" for row in rows)
    if failed:
        typer.echo(f"{failed} of {len(rows)} cameras cannot be seen", err=True)
        raise typer.Exit(1)


def _chosen(cameras: Sequence[Listed], ids: Sequence[str]) -> list[CameraSettings]:
    from vision_stream.errors import ConfigError

    known = {each.camera.id: each.camera for each in cameras}
    for name in ids:
        if name not in known:
            remedy = "give one of " + (", ".join(known) or "... there are none")
            raise ConfigError(f"there is no camera {name}", remedy=remedy)
    return [known[name] for name in ids] or [each for each in known.values() if each.enabled]


def _tried(camera: CameraSettings, timeout_s: float, networks: tuple[str, ...]) -> dict[str, Any]:
    from workers.capture.probe import Unseen, probe

    source = camera.source.get_secret_value()
    found = probe(source, timeout_s=timeout_s, transport=camera.rtsp_transport, networks=networks)
    about = {"camera": camera.id, "source": _shown(camera)}
    if isinstance(found, Unseen):
        return {**about, "result": found.cause, "size": None, "fps": None, "codec": None}
    fps = round(found.fps, 2) if found.fps is not None else None
    return {**about, "result": "ok", "size": f"{found.width}x{found.height}", "fps": fps, "codec": found.codec}


def _row(listed: Listed) -> dict[str, Any]:
    camera = listed.camera
    return {
        "camera": camera.id,
        "name": camera.name,
        "source": _shown(camera),
        "fps": camera.fps,
        "profile": camera.prompt_profile,
        "zones": [zone.name for zone in camera.zones],
        "enabled": camera.enabled,
        "known_by": listed.known_by,
        "command": listed.command,
    }


def _shown(camera: CameraSettings) -> str:
    from vision_stream.api_sources import GUARDED
    from vision_stream.redaction import redact_url

    return redact_url(camera.source.get_secret_value().removeprefix(GUARDED))


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
