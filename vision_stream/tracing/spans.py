"""The spans, by OpenTelemetry's semantic conventions: https://opentelemetry.io/docs/specs/semconv/, version 1.41.

capture frame                  the frame's own, with a span for inference and for its pictures
send TOPIC, process TOPIC      messaging: from the call to the brokers' confirmation; a handler's run
chat MODEL                     gen_ai: one LLM call
push KIND                      one message to one browser
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vision_stream.tracing import CONTEXT_HEADERS, Header

if TYPE_CHECKING:
    from vision_stream.llm.chat import Answer

NS = 1_000_000_000
PROVIDER = "openai"  # the API's shape: whose model answers behind a base_url, nobody says
_propagator = TraceContextTextMapPropagator()


class Spans:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] | None = None,
        context: Context | None = None,
        start_time: int | None = None,
    ) -> Iterator[Span]:
        """A span around the block. Of what the block raises only the type is kept: a message may hold anything."""
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes,
            start_time=start_time,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                _fail(span, type(error).__name__)
                raise

    @contextmanager
    def frame(self, camera_id: str, captured_at: float) -> Iterator[None]:
        attributes = {"vision_stream.camera_id": camera_id}
        with self._span("capture frame", attributes=attributes, context=Context(), start_time=int(captured_at * NS)):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        with self._span(name):
            yield

    @contextmanager
    def processing(
        self, topic: str, partition: int, offset: int, headers: Iterable[tuple[str, Any]], group: str
    ) -> Iterator[None]:
        attributes = _messaging("process", topic) | _place(partition, offset)
        if group:
            attributes["messaging.consumer.group.name"] = group
        with self._span(f"process {topic}", SpanKind.CONSUMER, attributes, _sent_with(headers)):
            yield

    def sending(self, topic: str, key: bytes | None) -> Sending:
        attributes = _messaging("send", topic)
        if key:
            attributes["messaging.kafka.message.key"] = key.decode("utf-8", "replace")
        return Sending(self._tracer.start_span(f"send {topic}", kind=SpanKind.PRODUCER, attributes=attributes))

    @contextmanager
    def llm_call(self, key_id: str, model: str, base_url: str, max_tokens: int) -> Iterator[LLMCall]:
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": max_tokens,
            "vision_stream.key_id": key_id,
            **_server(base_url),
        }
        with self._span(f"chat {model}", SpanKind.CLIENT, attributes) as span:
            yield LLMCall(span)

    @contextmanager
    def pushing(self, kind: str, context: object) -> Iterator[None]:
        assert isinstance(context, Context)
        with self._span(f"push {kind}", SpanKind.PRODUCER, context=context):
            yield

    def current(self) -> object:
        return contexts.get_current()

    @contextmanager
    def within(self, context: object) -> Iterator[None]:
        assert isinstance(context, Context)
        token = contexts.attach(context)
        try:
            yield
        finally:
            contexts.detach(token)

    def note(self, values: Mapping[str, str | int | float]) -> None:
        trace.get_current_span().set_attributes({f"vision_stream.{name}": value for name, value in values.items()})

    def failed(self, error: BaseException) -> None:
        _fail(trace.get_current_span(), type(error).__name__)


class Sending:
    """A message on its way to the brokers. It ends once: what is told after that is ignored."""

    def __init__(self, span: Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(span))
        self.headers: list[Header] = [(name, value.encode()) for name, value in carrier.items()]

    def delivered(self, partition: int, offset: int) -> None:
        self._span.set_attributes(_place(partition, offset))
        self._span.end()

    def failed(self, why: str) -> None:
        """``why``: a word or a type's name."""
        _fail(self._span, why)
        self._span.end()


class LLMCall:
    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, answer: Answer) -> None:
        self._span.set_attribute("gen_ai.usage.input_tokens", answer.input_tokens)
        self._span.set_attribute("gen_ai.usage.output_tokens", answer.output_tokens)
        if answer.finish_reason:
            self._span.set_attribute("gen_ai.response.finish_reasons", [answer.finish_reason])

    def ended(self, result: str) -> None:
        """``result``: as the metric ``llm_requests`` counts it."""
        self._span.set_attribute("vision_stream.result", result)
        if result != "ok":
            _fail(self._span, result)


def _fail(span: Span, why: str) -> None:
    span.set_attribute("error.type", why)
    span.set_status(Status(StatusCode.ERROR))


def _messaging(operation: str, topic: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


def _place(partition: int, offset: int) -> dict[str, str | int]:
    return {"messaging.destination.partition.id": str(partition), "messaging.kafka.offset": offset}


def _server(base_url: str) -> dict[str, str | int]:
    """Host and port alone: a URL may hold more than may be told."""
    try:
        url = urlsplit(base_url)
        port = url.port or {"http": 80}.get(url.scheme, 443)
    except ValueError:
        return {}
    return {"server.address": url.hostname or "", "server.port": port}


def _sent_with(headers: Iterable[tuple[str, Any]]) -> Context:
    """The context that a message came with; an empty one where its headers are missing or broken."""
    carrier = {
        name: bytes(value).decode("ascii", "replace") for name, value in headers if name in CONTEXT_HEADERS and value
    }
    return _propagator.extract(carrier, Context())
