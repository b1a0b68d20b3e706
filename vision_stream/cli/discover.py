"""``vision-stream cameras discover``: cameras on the local network by ONVIF. No password is printed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_stream.cli.cameras import commands
from vision_stream.cli.tables import as_table
from vision_stream.errors import ConfigError

if TYPE_CHECKING:
    from workers.onvif.discover import Camera
    from workers.onvif.soap import Account

SHOWN = ("address", "name", "model", "profile", "size", "fps", "codec")


def discover(
    at: Annotated[
        list[str] | None, typer.Option(help="ask this HOST or HOST:PORT only, without a search; repeatable")
    ] = None,
    user: Annotated[str | None, typer.Option(help="of the cameras; the password is asked for, or CAM_PASSWORD")] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.5, max=60, help="seconds to search, and for each camera's answers")
    ] = 5.0,
    interface: Annotated[
        list[str] | None, typer.Option(help="name or address of the network to search; repeatable; none: all")
    ] = None,
    allow_other_hosts: Annotated[
        bool, typer.Option("--allow-other-hosts", help="believe a camera that names another host's address")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Search the local network for ONVIF cameras, and say their streams and the lines for config/cameras.yaml.

    1 where there is none, or one that cannot be asked. Needs the extra onvif.
    """
    _needs_extra()
    from workers.onvif import interfaces
    from workers.onvif.discover import discover as search

    local = [] if at else interfaces.addresses(interface or ())
    account = _account(user) if user is not None else None
    cameras = asyncio.run(
        search(local, at or (), account=account, listen_s=timeout_s, ask_s=timeout_s, elsewhere=allow_other_hosts)
    )
    _print(cameras, account, as_json)
    unasked = sum(camera.device is None for camera in cameras)
    if not cameras:
        typer.echo("no ONVIF camera answered; is it on this network, and ONVIF enabled in it?", err=True)
    if unasked:
        typer.echo(f"{unasked} of {len(cameras)} cameras cannot be asked", err=True)
    if unasked or not cameras:
        raise typer.Exit(1)


def _needs_extra() -> None:
    try:
        import defusedxml  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the search for cameras needs the package defusedxml, which is not installed",
            remedy='pip install "vision-stream[onvif]"',
        ) from error


def _account(user: str) -> Account:
    """
    Raises:
        ConfigError: there is no password, and nobody to ask for it.
    """
    from vision_stream.redaction import register_secret
    from workers.onvif.soap import Account
    from workers.onvif.streams import PASSWORD

    password = os.environ.get(PASSWORD, "")
    if not password and sys.stdin.isatty():
        password = typer.prompt(f"Password of {user}", hide_input=True, err=True)
    if not password:
        raise ConfigError(f"--user {user} without a password", remedy=f"set {PASSWORD} in the environment")
    register_secret(password)
    return Account(user, password)


def _print(cameras: list[Camera], account: Account | None, as_json: bool) -> None:
    from workers.onvif import report

    found = report.rows(cameras, account)
    lines = report.as_yaml(cameras, account)
    if as_json:
        print(json.dumps({"streams": found, "cameras_yaml": lines}))
        return
    if found:
        print(_table(found))
    if lines:
        print(f"\nFor config/cameras.yaml:\n\n{lines}", end="")


def _table(rows: list[dict[str, Any]]) -> str:
    shown = [{**{name: row[name] for name in SHOWN}, "stream": row["stream"] or row["why"]} for row in rows]
    return as_table(shown)


def register(app: typer.Typer) -> None:
    commands.command(name="discover")(discover)
