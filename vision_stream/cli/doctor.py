"""``vision-stream doctor``: what this machine lacks to run Vision Stream as it is configured, and what to do."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vision_stream.cli.check_config import ConfigDir

if TYPE_CHECKING:
    from vision_stream.checks import Finding
    from vision_stream.config import Loaded
    from vision_stream.settings import Settings

THREADS = "doctor"
WORDS = {"ok": "ok", "note": "note", "wrong": "WRONG", "unused": "-"}


def doctor(
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Look at everything that Vision Stream needs as it is configured, in a few seconds; changes nothing.

    Exit code 0: it can run; 2: the configuration is wrong; 3: Kafka or Redis is needed and not reachable; 1: the rest.
    """
    from vision_stream.config import InvalidConfig, load_with_places

    try:
        loaded = load_with_places(config_dir)
    except InvalidConfig as error:
        if not as_json:
            raise
        print(json.dumps({"ok": False, "exit_code": 2, "problems": [str(problem) for problem in error.problems]}))
        raise typer.Exit(error.exit_code) from None
    findings = [_config(loaded), *_look(loaded.settings)]
    code = exit_code(findings)
    if as_json:
        print(json.dumps({"ok": code == 0, "exit_code": code, "checks": [asdict(each) for each in findings]}, indent=2))
    else:
        print_findings(findings)
    _leave(code)


def exit_code(findings: Sequence[Finding]) -> int:
    """The one code for all: a wrong configuration first, as it is the cause of others, then what is not reachable."""
    codes = {finding.exit_code for finding in findings if finding.level == "wrong"}
    return next((code for code in (2, 3, 1) if code in codes), 0)


def _look(settings: Settings) -> list[Finding]:
    from vision_stream import checks

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # it logs each broker that does not answer
    # Not asyncio.run: it waits for threads, and a name server that does not answer can hold one for half a minute.
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=THREADS))
    try:
        return loop.run_until_complete(checks.run(settings))
    finally:
        loop.close()


def _config(loaded: Loaded) -> Finding:
    from vision_stream.checks import Finding

    mode = "Kafka streaming" if loaded.settings.enable_kafka_streaming else "one process, without Kafka"
    where = f"files from {loaded.config_dir}/" if loaded.config_dir else "no configuration directory"
    told = [f"{warning.field}: {warning.found}" for warning in loaded.warnings if "keys" not in warning.field]
    text = "; ".join([where, f"mode: {mode}", *told])
    return Finding("config", "note" if told else "ok", text, "vision-stream check-config" if told else "")


def print_findings(findings: Sequence[Finding]) -> None:
    """One line each, with the remedy under it, and how many are wrong."""
    for finding in findings:
        typer.echo(f"{WORDS[finding.level]:6} {finding.name:8} {finding.text}")
        if finding.remedy:
            typer.echo(f"{'':6} {'':8} remedy: {finding.remedy}")
    wrong = sum(finding.level == "wrong" for finding in findings)
    typer.echo(f"{wrong} wrong" if wrong else "nothing is wrong")


def _leave(code: int) -> None:
    """End the command, and the process with it where a thread still waits: the interpreter would wait for it too."""
    held = [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
    for thread in held:
        thread.join(timeout=0.2)
    if any(thread.is_alive() for thread in held):
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def register(app: typer.Typer) -> None:
    app.command()(doctor)
