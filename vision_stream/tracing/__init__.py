"""One trace from a camera's frame to the browser, by OpenTelemetry; off by default, and then next to nothing.

    here        what the stages call: each is a look at one variable while tracing is off, and imports nothing
    spans       the spans, named by the conventions for messaging and for generative AI
    exporting   where they go: OTLP over HTTP, in batches, from a thread of its own

Between processes the context travels in Kafka's headers (W3C ``traceparent``), within one in ``contextvars``.
Nothing here raises into the pipeline; no span holds a key, a prompt, an answer or a camera's address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from vision_stream.errors import ConfigError

if TYPE_CHECKING:
    from vision_stream.settings import TracingSettings
    from vision_stream.tracing.exporting import Export
    from vision_stream.tracing.spans import LLMCall, Sending, Spans

Header = tuple[str, bytes]
CONTEXT_HEADERS = ("traceparent", "tracestate")
STOP_WITHIN_S = 1.0  # for the spans that wait: a collector that is away must not keep a process from its end

_spans: Spans | None = None
_export: Export | None = None
_nothing: AbstractContextManager[None] = nullcontext()


def start(settings: TracingSettings, service: str) -> None:
    """Trace this process from now on, where the settings say so.

    Args:
        service: the process's name among the traces, unless ``OTEL_SERVICE_NAME`` has one.
    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    global _spans, _export
    if not settings.enabled or _spans is not None:
        return
    try:
        from vision_stream.tracing.exporting import Export
        from vision_stream.tracing.spans import Spans
    except ImportError as error:
        raise ConfigError(
            f"monitoring.tracing.enabled is true, and OpenTelemetry is not installed ({error.name} is missing)",
            remedy='pip install "vision-stream[tracing]", or set monitoring.tracing.enabled to false',
        ) from error
    _export = Export(settings, service)
    _spans = Spans(_export.tracer)


async def stop(within_s: float = STOP_WITHIN_S) -> None:
    """Send the spans that wait, for at most ``within_s`` seconds, and trace no more."""
    global _spans, _export
    export, _spans, _export = _export, None, None
    if export is not None:
        await asyncio.to_thread(export.close, within_s)


def frame(camera_id: str, captured_at: float) -> AbstractContextManager[None]:
    """Begin a trace: the block handles a frame that was read at ``captured_at`` (epoch seconds)."""
    return _nothing if _spans is None else _spans.frame(camera_id, captured_at)


def step(name: str) -> AbstractContextManager[None]:
    """The block is a part of what goes on, worth a time of its own."""
    return _nothing if _spans is None else _spans.step(name)


def processing(
    topic: str, partition: int, offset: int, headers: Iterable[tuple[str, Any]], group: str = ""
) -> AbstractContextManager[None]:
    """The block handles a message: in the trace that its headers name, in a new one where they name none."""
    return _nothing if _spans is None else _spans.processing(topic, partition, offset, headers, group)


def sending(topic: str, key: bytes | None) -> Sending | None:
    """A message is about to be sent; its sender adds ``headers``, and tells how it ended. None: tracing is off."""
    return None if _spans is None else _spans.sending(topic, key)


def llm_call(key_id: str, model: str, base_url: str, max_tokens: int) -> AbstractContextManager[LLMCall | None]:
    """The block is one LLM call; it tells what came of it."""
    return _nothing if _spans is None else _spans.llm_call(key_id, model, base_url, max_tokens)


def pushing(kind: str, context: object) -> AbstractContextManager[None]:
    """The block sends a push to one browser. ``context``: what ``current`` said when the push was made."""
    return _nothing if _spans is None or context is None else _spans.pushing(kind, context)


def current() -> object | None:
    """Where in which trace we are, for a block that runs elsewhere; None while tracing is off."""
    return None if _spans is None else _spans.current()


def within(context: object | None) -> AbstractContextManager[None]:
    """The block belongs where ``current`` was asked."""
    return _nothing if _spans is None or context is None else _spans.within(context)


def note(**values: str | int | float) -> None:
    """Say more of what goes on, under ``vision_stream.``; no secret."""
    if _spans is not None:
        _spans.note(values)


def failed(error: BaseException) -> None:
    """What goes on has failed, and its block ends without raising. Only the error's type is told."""
    if _spans is not None:
        _spans.failed(error)
