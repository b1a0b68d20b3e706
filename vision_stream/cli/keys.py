"""``vision-stream keys``: the API keys of the configuration, and whether they work. No key is ever printed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vision_stream.llm.verification import Finding
    from vision_stream.settings import KeySettings

ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="of the YAML files; else ALGO_CONFIG_DIR, else ./config")
]
AsJson = Annotated[bool, typer.Option("--json", help="for a script")]

commands = typer.Typer(name="keys", help="The API keys of the configuration.", no_args_is_help=True)


@commands.command(name="test")
def try_all(
    at_least: Annotated[int, typer.Option("--min", min=0, help="exit 1 when fewer keys work")] = 3,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="seconds for each call")] = 20.0,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Make one cheap call with each key, all at once, and print what was found out."""
    from vision_stream import config

    settings = config.load(config_dir)
    findings = asyncio.run(_verify(settings.llm.keys, timeout_s))
    working = sum(finding.ok for finding in findings)
    _print(findings, as_json)
    if working < at_least:
        typer.echo(f"{working} of {len(findings)} keys work; wanted are at least {at_least} (--min)", err=True)
        raise typer.Exit(1)


async def _verify(keys: Sequence[KeySettings], timeout_s: float) -> list[Finding]:
    from vision_stream.llm.openai_client import OpenAIClient
    from vision_stream.llm.verification import verify

    client = OpenAIClient()
    try:
        return await verify(keys, client, timeout_s=timeout_s)
    finally:
        await client.close()


def _print(findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        import msgspec

        print(msgspec.json.encode(findings).decode())
        return
    rows = [("KEY", "ENDPOINT", "MODEL", "VISION", "JSON", "RESULT", "LATENCY")]
    for found in findings:
        latency = f"{found.latency_s:.2f} s" if found.ok else "-"
        result = "ok" if found.ok else found.words
        rows.append((found.id, found.endpoint, found.model, found.vision, found.json, result, latency))
    _print_table(rows)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@commands.command(name="list")
def list_(config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """List the keys with their limits, without calling anyone."""
    from vision_stream import config
    from vision_stream.redaction import redact_url

    keys = [
        {**key.model_dump(mode="json", exclude={"api_key"}), "base_url": redact_url(key.base_url)}
        for key in config.load(config_dir).llm.keys
    ]
    if as_json:
        import json

        print(json.dumps(keys))
        return
    names = ("id", "base_url", "model", "priority", "qps_limit", "rpm_limit", "tpm_limit", "max_concurrent", "enabled")
    rows = [[str("-" if key.get(name) is None else key.get(name)) for name in names] for key in keys]
    _print_table([[name.upper() for name in names], *rows])


@commands.command()
def disable(key_id: Annotated[str, typer.Argument(metavar="KEY", help="its id")], config_dir: ConfigDir = None) -> None:
    """Let a key rest on all workers, at once and over their restarts, until it is enabled again."""
    _say(key_id, config_dir, disabled=True)


@commands.command()
def enable(key_id: Annotated[str, typer.Argument(metavar="KEY", help="its id")], config_dir: ConfigDir = None) -> None:
    """Bring a key back on all workers, whether an operator or the provider had disabled it."""
    _say(key_id, config_dir, disabled=False)


@commands.command()
def pause(config_dir: ConfigDir = None) -> None:
    """Make no LLM call on any worker, over their restarts, until `resume`: the lever for a runaway bill or provider.

    Detections go on. Tasks wait until their deadline and then expire, which is pushed as such, never as "no risk".
    """
    _say_to_all(config_dir, disabled=True)
    print("no LLM call is made from now on; `vision-stream keys resume` ends that")


@commands.command()
def resume(config_dir: ConfigDir = None) -> None:
    """End `pause`. Keys that were disabled on their own stay so; one that its provider refused is tried again."""
    _say_to_all(config_dir, disabled=False)
    print("LLM calls are made again")


def _say_to_all(config_dir: Path | None, *, disabled: bool) -> None:
    from vision_stream import config
    from vision_stream.key_words import say
    from vision_stream.llm.cooldowns import ALL_KEYS

    asyncio.run(say(config.load(config_dir), ALL_KEYS, disabled=disabled))


def _say(key_id: str, config_dir: Path | None, *, disabled: bool) -> None:
    from vision_stream import config
    from vision_stream.key_words import say

    asyncio.run(say(config.load(config_dir), key_id, disabled=disabled))
    print(f"{key_id} is {'disabled' if disabled else 'enabled'} on all workers")


def register(app: typer.Typer) -> None:
    app.add_typer(commands)
