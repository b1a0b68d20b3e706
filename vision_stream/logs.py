"""Logs: console where a person reads, JSON where a machine does; one shape for our lines and the libraries'."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import msgspec
import structlog

from vision_stream import tracing
from vision_stream.redaction import mask_rendered

QUIET = (
    "aiokafka",
    "faust.transport",
    "urllib3",
    "asyncio",
    "httpx",
    "openai",
    "watchfiles",
)  # at WARNING: they say a line a fetch
REPEATING = ("aiokafka", "faust", "opentelemetry", "vision_stream.delivery.consumer_thread")
TROUBLE = (  # each message in flight says it
    "handler runs again",
    "changelog not delivered yet",
    "dead letter not delivered yet",
    "Redis refused a command",
)
EVERY_S = 10.0


def setup(level: str = "INFO", fmt: Literal["auto", "console", "json"] = "auto") -> None:
    """Configure structlog and the standard library's root logger, both to stderr."""
    as_json = fmt == "json" or (fmt == "auto" and not sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OnceInAWhile())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(as_json)))
    logging._srcfile = None  # a fifth of a line's cost: no line says where in the code it comes from
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    hush()


def of_request(request_id: str) -> None:
    """Each line from here to the end of this task says of which request it is, and so does the span."""
    structlog.contextvars.bind_contextvars(request_id=request_id)
    tracing.note(request_id=request_id)


def hush() -> None:
    """Set chatty libraries to WARNING. Faust sets aiokafka to DEBUG, which costs a fifth of its CPU: call it again
    once a worker has started."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class OnceInAWhile(logging.Filter):
    """Lets a line that repeats through once in ``EVERY_S`` seconds: while a broker is away, aiokafka says the same ten
    times a second, and each message in flight that it waits."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        said = _repeating(record) if record.levelno >= logging.WARNING else None
        if said is None:
            return True
        line = record.name, record.levelno, said
        if record.created - self._said.get(line, -EVERY_S) < EVERY_S:
            return False
        self._said[line] = record.created
        return True


def _repeating(record: logging.LogRecord) -> str | None:
    """A line's words without what varies; None where it is one that does not repeat."""
    if isinstance(record.msg, dict):  # a line of ours
        event = record.msg.get("event")
        return event if event in TROUBLE else None
    return str(record.msg) if record.name.startswith(REPEATING) else None


def mute_kafka_client() -> None:
    """aiokafka says ten lines a second while a broker is away. For a process that says it itself, once."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _json(line: Any, **_: Any) -> str:
    """Twice as quick as json: an LLM scheduler says a line a call."""
    return msgspec.json.encode(line, enc_hook=repr).decode()


def _renderers(as_json: bool) -> list[structlog.types.Processor]:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if as_json:
        return [drop, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json), mask_rendered]
    # Plain tracebacks: the default ones show local variables, and with them whatever secret is at hand.
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [drop, console, mask_rendered]
