"""The process of ``faust -A vision_stream worker``: what has to be right before Faust starts."""

from __future__ import annotations

import importlib
import logging
import socket
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import faust
import structlog
from faust.exceptions import AlreadyConfiguredWarning

from vision_stream import logs, metrics, topics
from vision_stream.errors import ConfigError, VisionStreamError
from vision_stream.probes import probes

if TYPE_CHECKING:
    from vision_stream.app import App

_log = structlog.get_logger(__name__)
OURS = ("agents", "tables")  # also the import names of the OpenAI Agents SDK and of PyTables
FAUSTS_PORT = 6066
PORTS_TRIED = 40
FAUSTS_LOGGERS = ("faust", "mode")


class Worker(faust.Worker):
    """Makes the topics before anything subscribes, and ends with a sentence and an exit code where it cannot start."""

    @property
    def _app(self) -> App:
        return cast("App", self.app)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spinner = None
        self._choose_web_port()

    def execute_from_commandline(self) -> NoReturn:
        self._setup_logging()
        Path(self.app.conf.datadir).mkdir(parents=True, exist_ok=True)  # Faust makes its last part alone
        try:
            self.loop.run_until_complete(topics.ensure(self._app.settings))
        except VisionStreamError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            sys.exit(130)
        super().execute_from_commandline()
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

    async def on_first_start(self) -> None:
        await super().on_first_start()
        self.add_future(metrics.beat("worker"))
        probes.require("faust", self._why_not_ready)
        where = self._app.settings.monitoring.prometheus
        metrics.serve(where.port, host=where.host)

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
