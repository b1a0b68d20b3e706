"""``vision-stream check-config``: whether the configuration can be used, and what is in effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vision_stream.config import Loaded, Problem

ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", help="of the YAML files; else ALGO_CONFIG_DIR, else ./config")
]


def check_config(
    config_dir: ConfigDir = None,
    show: Annotated[bool, typer.Option("--show", help="print every setting and where it comes from")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Read the configuration and say everything that is wrong with it (exit code 2), before a process does."""
    from vision_stream.config import InvalidConfig, load_with_places

    try:
        loaded = load_with_places(config_dir)
    except InvalidConfig as error:
        if not as_json:
            raise
        print(json.dumps({"ok": False, "problems": [_as_dict(problem) for problem in error.problems]}, indent=2))
        raise typer.Exit(error.exit_code) from None
    if as_json:
        print(json.dumps(_report(loaded, show), indent=2))
        return
    if show:
        _print_settings(loaded)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    mode = "Kafka streaming" if loaded.settings.enable_kafka_streaming else "one process, without Kafka"
    where = f"files from {loaded.config_dir}/" if loaded.config_dir else "no configuration directory"
    typer.echo(f"ok: {where}; mode: {mode}; warnings: {len(loaded.warnings)}")


def _print_settings(loaded: Loaded) -> None:
    from vision_stream.config.effective import effective

    rows = [(item.name, _text(item.value), str(item.place)) for item in effective(loaded)]
    widths = [min(48, max(len(row[column]) for row in rows)) for column in (0, 1)]
    for name, value, place in rows:
        typer.echo(f"{name:{widths[0]}}  {value:{widths[1]}}  {place}")


def _report(loaded: Loaded, show: bool) -> dict[str, Any]:
    from vision_stream.config.effective import effective

    report: dict[str, Any] = {"ok": True, "warnings": [_as_dict(warning) for warning in loaded.warnings]}
    if show:
        settings = {item.name: {"value": item.value, "source": str(item.place)} for item in effective(loaded)}
        report["settings"] = settings
    return report


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _as_dict(problem: Problem) -> dict[str, Any]:
    from vision_stream.redaction import mask

    return {
        "file": problem.place.name,
        "line": problem.place.line or None,
        "column": problem.place.column or None,
        "variable": problem.place.variable or None,
        "field": problem.field or None,
        "found": mask(problem.found),
        "allowed": problem.allowed or None,
        "remedy": problem.remedy,
    }


def register(app: typer.Typer) -> None:
    app.command("check-config")(check_config)
