"""The command line: ``vision-stream COMMAND``. One module a command; heavy imports happen when a command runs.

Exit codes: 0 done, 1 a run-time failure, 2 usage or configuration, 3 a dependency not reachable within its wait,
4 a Faust worker without progress, 130 ended by Ctrl-C, 143 SIGTERM came twice.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

from vision_stream.errors import VisionStreamError

COMMANDS = (
    "demo",
    "run",
    "capture",
    "cameras",
    "discover",
    "gateway",
    "mqtt",
    "broker",
    "services",
    "topics",
    "audit",
    "dead_letters",
    "simulate",
    "keys",
    "shed",
    "check_config",
    "doctor",
    "bundle",
    "backup",
    "upgrade",
    "version",
)

app = typer.Typer(
    name="vision-stream",
    help="Detections at once, an LLM's risk judgement behind them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def build() -> typer.Typer:
    """The application with all commands registered, in the order of ``COMMANDS``."""
    if not app.registered_commands and not app.registered_groups:
        for name in COMMANDS:
            if importlib.util.find_spec(f"vision_stream.cli.{name}"):
                _register(name)
    return app


def _register(name: str) -> None:
    importlib.import_module(f"vision_stream.cli.{name}").register(app)


def main(argv: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    try:
        code = build()(args=argv, standalone_mode=True)
    except VisionStreamError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code or 0)
