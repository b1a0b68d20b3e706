"""``vision-stream services``: the three streaming services on this host; ``scripts/*_streaming_services`` call it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_stream.cli.check_config import ConfigDir

if TYPE_CHECKING:
    from vision_stream.services.state import State
    from vision_stream.settings import Settings

LOGS = Path("logs/streaming")
NOT_RUNNING = 3
END_SLACK_S = 15.0

ReadyWithin = Annotated[float, typer.Option(min=1, help="seconds until all are ready; the broker's start included")]
StopWithin = Annotated[
    float | None,
    typer.Option(min=0, help="seconds to end by themselves, then they are killed; else enough for running LLM calls"),
]
Logs = Annotated[Path, typer.Option(help="directory of the logs, 6 files of 10 MB a service")]

commands = typer.Typer(
    name="services", help="Task generator, LLM scheduler and result aggregator on this host.", no_args_is_help=True
)


@commands.command()
def start(
    config_dir: ConfigDir = None, wait: ReadyWithin = 90.0, stop_within: StopWithin = None, logs: Logs = LOGS
) -> None:
    """Start the three services in the background, and wait until each is ready.

    Where one is not, its last lines are shown, and the others are stopped. May be called twice. A service that ends
    later is run again by the supervisor, after 1 s, then 2, up to 60; one that ends with 2, a wrong configuration,
    is not.
    """
    from vision_stream.services import control
    from vision_stream.services.plan import run_dir

    settings = _settings(config_dir)
    directory, stop_within_s = run_dir(settings), _stop_within_s(settings, stop_within)
    argv = ["--wait", f"{wait:g}", "--stop-within", f"{stop_within_s:g}", "--logs", str(logs)]
    control.start(directory, ready_within_s=wait, stop_within_s=stop_within_s, argv=argv, say=typer.echo)
    typer.echo(f"all services are ready; logs in {logs}/, PID files in {directory}/")


@commands.command()
def stop(
    config_dir: ConfigDir = None,
    within: StopWithin = None,
) -> None:
    """Stop the services and their supervisor, by force where they take too long. May be called twice.

    The supervisor keeps to the time that `start` was given; this is how long it is waited for, and 15 s more.
    """
    from vision_stream.services import control
    from vision_stream.services.plan import run_dir

    settings = _settings(config_dir)
    stopped = control.stop(run_dir(settings), within_s=_stop_within_s(settings, within), say=typer.echo)
    typer.echo("all services are stopped" if stopped else "no service was running")


@commands.command()
def status(
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Say what runs. Exit code 0: all are ready; 1: not all; 3: none runs."""
    from vision_stream.services import control
    from vision_stream.services.plan import run_dir

    state = control.running(run_dir(_settings(config_dir)))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(state).decode())
    elif state is None:
        typer.echo("no service is running")
    else:
        _print(state)
    if state is None:
        raise typer.Exit(NOT_RUNNING)
    raise typer.Exit(0 if all(service.condition == "ready" for service in state.services) else 1)


@commands.command()
def run(
    config_dir: ConfigDir = None, wait: ReadyWithin = 90.0, stop_within: StopWithin = None, logs: Logs = LOGS
) -> None:
    """Supervise the services in the foreground until SIGTERM or Ctrl-C: what `start` runs in the background."""
    from vision_stream import logs as logging_
    from vision_stream.services import state
    from vision_stream.services.plan import plan, run_dir
    from vision_stream.services.rotation import RotatingLog, TextLog
    from vision_stream.services.supervisor import Supervisor

    settings = _settings(config_dir)
    directory = run_dir(settings)
    with state.held(directory):
        logging_.setup(settings.log_level, settings.log_format)
        if not sys.stderr.isatty():
            _log_to(TextLog(RotatingLog(logs / "supervisor.log")))
        stop_within_s = _stop_within_s(settings, stop_within)
        supervisor = Supervisor(plan(settings, logs), directory, ready_within_s=wait, stop_within_s=stop_within_s)
        code = asyncio.run(supervisor.run())
    raise typer.Exit(code)


def _log_to(stream: object) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(stream)


def _stop_within_s(settings: Settings, given: float | None) -> float:
    """A worker ends once its running LLM calls have, and what it knows is committed."""
    return settings.kafka.scheduler.call_deadline_s + END_SLACK_S if given is None else given


def _settings(config_dir: Path | None) -> Settings:
    """The settings; the services, children of this process or of its child, read the same."""
    from vision_stream import config

    if config_dir is not None:
        os.environ["ALGO_CONFIG_DIR"] = str(config_dir.resolve())
    return config.load()


def _print(state: State) -> None:
    typer.echo(f"{state.phase} (supervisor {state.supervisor.pid})")
    for service in state.services:
        pid = service.process.pid if service.process else "-"
        typer.echo(
            f"{service.name:18} {service.condition:10} pid {pid:<8} metrics :{service.metrics_port} "
            f"web :{service.web_port} restarts {service.restarts}{'  ' + service.why if service.why else ''}"
        )


def register(app: typer.Typer) -> None:
    app.add_typer(commands)
