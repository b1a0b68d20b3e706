"""The process of ``faust -A vision_stream worker``: what has to be right before Faust starts."""

from __future__ import annotations

import importlib
import logging
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import faust
import structlog
from faust.exceptions import AlreadyConfiguredWarning

from vision_stream import ending, garbage, heap, live, logs, metrics, topics, tracing
from vision_stream.errors import STUCK, ConfigError, VisionStreamError
from vision_stream.probes import probes
from vision_stream.watchdog import Guard

if TYPE_CHECKING:
    from vision_stream.app import App
    from vision_stream.delivery.consumer import Consumer

_log = structlog.get_logger(__name__)
OURS = ("agents", "tables")  # also the import names of the OpenAI Agents SDK and of PyTables
FAUSTS_PORT = 6066
PORTS_TRIED = 40
FAUSTS_LOGGERS = (
    "faust",
    "mode",
    # Faust's services that are ours by inheritance: what they say by themselves is a warning, or structlog's.
    "vision_stream.app",
    "vision_stream.delivery.consumer",
    "vision_stream.delivery.consumer_thread",
    "vision_stream.delivery.ownership",
)
SLACK_S = 9.0  # at a worker's end, besides what its calls may take: commit, flush, goodbye, and Faust's own two seconds
STUCK_DRAIN_S = 4.0  # for calls that still run beside what is stuck


class Worker(faust.Worker):
    """Makes the topics before anything subscribes, and ends with a sentence and an exit code where it cannot start."""

    @property
    def _app(self) -> App:
        return cast("App", self.app)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spinner = None
        self._guard: Guard | None = None
        self._exit_code = 0  # of an end in order
        self._choose_web_port()

    def execute_from_commandline(self) -> NoReturn:
        self._setup_logging()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nothing has begun yet; a container's first process
        live.outlive_sighup()
        Path(self.app.conf.datadir).mkdir(parents=True, exist_ok=True)  # Faust makes its last part alone
        try:
            self._start_tracing()
            self.loop.run_until_complete(topics.ensure(self._app.settings))
        except VisionStreamError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            sys.exit(130)
        try:
            super().execute_from_commandline()
        except SystemExit as ended:
            sys.exit(ended.code or self._exit_code)
        raise AssertionError("not reached")

    def _choose_web_port(self) -> None:
        """Faust ends a worker whose web port is taken: move on where none was asked for."""
        conf: Any = self.app.conf
        if conf.web_enabled and conf.web_port == FAUSTS_PORT:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AlreadyConfiguredWarning)
                conf.web_port = first_free_port(str(conf.web_bind), FAUSTS_PORT)
                conf.canonical_url = f"http://{conf.web_bind}:{conf.web_port}"

    def _setup_logging(self) -> None:
        settings = self._app.settings
        logs.setup(settings.log_level, settings.log_format)
        if settings.log_level != "DEBUG":
            for name in FAUSTS_LOGGERS:  # a line for each of forty services at each start, stop and rebalance
                logging.getLogger(name).setLevel(logging.WARNING)

    def _start_tracing(self) -> None:
        settings = self._app.settings
        name = settings.stream_roles[0] if len(settings.stream_roles) == 1 else "worker"
        tracing.start(settings.monitoring.tracing, f"vision-stream-{name}")

    async def on_first_start(self) -> None:
        await super().on_first_start()
        garbage.settle()
        heap.keep_small()
        self.add_future(metrics.beat("worker"))
        self.add_future(live.follow_sighup(self._app.settings))
        probes.require("faust", self._why_not_ready)
        where = self._app.settings.monitoring
        metrics.serve(where.prometheus.port, host=where.prometheus.host)
        if where.watchdog.enabled:
            self._guard = Guard(self._app, end=self._end_guarded)
            probes.require("progress", self._guard.why_not_ready)
            self.add_future(self._guard.watch())

    # The end

    def _on_sigint(self) -> None:
        self._exit_code = 130
        super()._on_sigint()

    def _end_guarded(self, exit_code: int) -> None:
        self._exit_code = exit_code
        if exit_code == STUCK:
            self._app.shutdown_s = STUCK_DRAIN_S
        self._schedule_shutdown(signal.SIGTERM)

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        """In order, within a bound; at the next signal at once."""
        ending.at_once_at_the_next(signal, self._leave_group)
        ending.at_the_latest(self._app.shutdown_s + SLACK_S, STUCK)
        probes.require("ending", lambda: "the worker ends")
        if self._guard is not None:
            self._guard.stop()
        super()._schedule_shutdown(signal)

    def _leave_group(self) -> None:
        """So that the others need not wait for the session's end; from any thread."""
        consumer = cast("Consumer | None", self._app._consumer)
        if consumer is not None:
            consumer.leave_at_once(ending.GOODBYE_S)

    def _why_not_ready(self) -> str | None:
        if self._app.rebalancing:
            return "the group rebalances"
        return None if self._app.tables.actives_ready else "tables are being recovered"

    async def on_startup_finished(self) -> None:
        logs.hush()
        await super().on_startup_finished()
        _log.info("worker ready", app=self.app.conf.id, roles=list(self._app.settings.stream_roles))


def check_modules(root: Path) -> None:
    """Are ``agents`` and ``tables`` the project's own?

    Raises:
        ConfigError: another package of that name comes first on the path.
    """
    for name in OURS:
        found = importlib.import_module(name).__file__ or ""
        if Path(found).parent.parent.resolve() != root.resolve():
            raise ConfigError(
                f"`import {name}` gives {found}, not Vision Stream's own",
                remedy="install Vision Stream in an environment of its own, or start it from its directory",
                error_id="VS-302",
            )


def first_free_port(host: str, first: int) -> int:
    """The first port from ``first`` on that can be bound; ``first`` itself where none can."""
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    return first
