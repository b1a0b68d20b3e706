"""``vision-stream upgrade``: what this version would change for a system that runs; installs nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vision_stream.cli.check_config import ConfigDir
from vision_stream.cli.doctor import exit_code, print_findings

if TYPE_CHECKING:
    from vision_stream.checks import Finding


def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="look, and change nothing")] = False,
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a script; with --dry-run")] = False,
) -> None:
    """Say what the installed version would do to a configuration, to the topics and to the processes of this host.

    Exit code 0: installing and restarting is all; 1: there are messages that this version cannot read; 2: it does not
    accept the configuration, or the topics do not fit it; 3: Kafka is needed and does not answer.
    """
    from vision_stream.upgrade import STEPS

    if not dry_run:
        print("An upgrade is to install the new version and to restart the processes. `--dry-run` looks before:")
        print("\n".join(f"{number}. {step}" for number, step in enumerate(STEPS, start=1)))
        return
    findings = _look(config_dir)
    code = exit_code(findings)
    if as_json:
        print(json.dumps({"exit_code": code, "findings": [asdict(each) for each in findings]}, indent=2))
    else:
        print_findings(findings)
    raise typer.Exit(code)


def _look(config_dir: ConfigDir) -> list[Finding]:
    from vision_stream.checks import Finding
    from vision_stream.config import InvalidConfig, load_with_places
    from vision_stream.errors import DependencyError
    from vision_stream.upgrade import look

    try:
        loaded = load_with_places(config_dir)
    except InvalidConfig as error:
        return [Finding("config", "wrong", str(problem), exit_code=2) for problem in error.problems]
    found = [Finding("config", "note", str(warning)) for warning in loaded.warnings]
    found = found or [Finding("config", "ok", "accepted as it is")]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # it logs each broker that does not answer
    try:
        return found + asyncio.run(look(loaded.settings))
    except DependencyError as error:
        return [*found, Finding("kafka", "wrong", error.what, error.remedy, error.exit_code)]


def register(app: typer.Typer) -> None:
    app.command()(upgrade)
