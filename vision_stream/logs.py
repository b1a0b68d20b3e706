"""Logs: console where a person reads, JSON where a machine does; one shape for our lines and the libraries'.

    our lines           structlog's chain, to the end   ->  log_lines  ->  stderr
    the libraries'      logging, a LogRecord            ->  the root's handler, with the same chain  ->  stderr

Ours do without a LogRecord, which costs more than all else of a line: the LLM scheduler says one a call.
"""

from __future__ import annotations

import atexit
import functools
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
import structlog

from vision_stream import tracing
from vision_stream.log_lines import Line, Lines
from vision_stream.redaction import mask

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
OFTEN = "often"  # for structlog.get_logger(__name__, OFTEN): a logger that says a line a call

_encoder = msgspec.json.Encoder(enc_hook=repr)
_stack = structlog.processors.StackInfoRenderer(additional_ignores=["vision_stream.logs"])


def setup(level: str = "INFO", fmt: Literal["auto", "console", "json"] = "auto") -> None:
    """Configure structlog and the standard library's root logger, both to stderr."""
    as_json = fmt == "json" or (fmt == "auto" and not sys.stderr.isatty())
    theirs: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_time,
        structlog.stdlib.ExtraAdder(),
    ]
    repeats, render = OnceInAWhile(), _json if as_json else Console()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(repeats)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=theirs,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    lines = Lines(handler, _json_lines if as_json else functools.partial(_one_by_one, render))
    atexit.register(lines.flush)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            repeats,
            _describe,
            _as_it_is,
        ],
        logger_factory=lambda name="root", *how: Line(name, lines, often=OFTEN in how),
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
    )
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
    times a second, and each message in flight that it waits. A filter of the libraries' lines, a processor of ours."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or not record.name.startswith(REPEATING):
            return True
        return self._due((record.name, record.levelname, str(record.msg)), record.created)

    def __call__(self, logger: Line, method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
        event = line["event"]
        if event in TROUBLE and not self._due((logger.name, method, event), time.time()):
            raise structlog.DropEvent
        return line

    def _due(self, line: tuple[str, str, str], now: float) -> bool:
        if now - self._said.get(line, -EVERY_S) < EVERY_S:
            return False
        self._said[line] = now
        return True


def mute_kafka_client() -> None:
    """aiokafka says ten lines a second while a broker is away. For a process that says it itself, once."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _describe(logger: Line, method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """What structlog's own processors would add one by one, at three times the cost."""
    line["level"], line["logger"] = method, logger.name
    if "stack_info" in line:
        line = _stack(logger, method, line)
    return _add_time(logger, method, line)


def _add_time(logger: Any, method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """In UTC. By hand, as structlog's costs six microseconds."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    line["timestamp"] = f"{_second(seconds)}.{rest // 1000:06}Z"
    return line


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _as_it_is(logger: Any, method: str, line: structlog.types.EventDict) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """To a ``Line``, whose ``Lines`` are rendered when they are written."""
    return (line,), {}


def _json(logger: Any, method: str, line: structlog.types.EventDict) -> str:
    if "exc_info" in line:
        line = structlog.processors.format_exc_info(logger, method, line)
    try:
        rendered = _encoder.encode(line)
    except Exception:  # whatever the values are, what says a line goes on
        rendered = msgspec.json.encode(_plain(line))
    return mask(rendered.decode())


def _json_lines(lines: Sequence[structlog.types.EventDict]) -> str:
    """As ``_json`` of each; those without an exception are encoded and masked in one step."""
    with suppress(Exception):  # as above
        if not any("exc_info" in line for line in lines):
            return mask(_encoder.encode_lines(lines).decode())
    return _one_by_one(_json, lines)


def _one_by_one(render: Callable[..., str], lines: Sequence[structlog.types.EventDict]) -> str:
    return "".join(f"{render(None, line['level'], line)}\n" for line in lines)


class Console:
    """Lines for a person. Plain tracebacks: the default ones show local variables, and whatever secret is at hand."""

    def __init__(self) -> None:
        plain = structlog.dev.plain_traceback
        self._render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)

    def __call__(self, logger: Any, method: str, line: structlog.types.EventDict) -> str:
        with suppress(Exception):  # as above
            return mask(_utf8(self._render(logger, method, dict(line))))
        return mask(self._render(logger, method, _plain(line)))  # here, where its own error is not the line's


def _plain(line: structlog.types.EventDict) -> dict[str, Any]:
    """``line`` with texts alone, each of which can be written as UTF-8."""
    return {_text(name): value if name == "exc_info" else _text(value) for name, value in line.items()}


def _text(value: object) -> str:
    try:
        return _utf8(value if isinstance(value, str) else repr(value))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"


def _utf8(text: str) -> str:
    """Names of files may hold what cannot be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
