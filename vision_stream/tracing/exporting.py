"""Where spans go: OTLP over HTTP, in batches, from a thread of its own. What does not go in time is dropped."""

from __future__ import annotations

import os
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

import vision_stream
from vision_stream.redaction import register_secret
from vision_stream.settings import TracingSettings

WAITING = 4096  # spans; beyond it the oldest goes. About 8 MB
BATCH = 512
EVERY_MS = 1000
EXPORT_S = 5.0  # one batch, tries included
ATTRIBUTE_LENGTH = 256
HEADERS_FROM = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")  # a collector's token is there


class Export:
    def __init__(self, settings: TracingSettings, service: str) -> None:
        _register_tokens()
        endpoint = f"{settings.endpoint.rstrip('/')}/v1/traces" if settings.endpoint else None
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.sample_ratio),
            resource=Resource.create(
                {
                    "service.name": os.environ.get("OTEL_SERVICE_NAME") or service,
                    "service.namespace": "vision-stream",
                    "service.version": vision_stream.__version__,
                }
            ),
            span_limits=SpanLimits(max_attribute_length=ATTRIBUTE_LENGTH),
            shutdown_on_exit=False,  # would wait for a collector that is away
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint, timeout=EXPORT_S),
                max_queue_size=WAITING,
                schedule_delay_millis=EVERY_MS,
                max_export_batch_size=BATCH,
            )
        )
        self.tracer = self._provider.get_tracer("vision_stream", vision_stream.__version__)

    def close(self, within_s: float) -> None:
        """Send what waits. Returns after ``within_s`` seconds at the latest; what then still runs ends with the
        process."""
        ending = threading.Thread(target=self._provider.shutdown, name="tracing ends", daemon=True)
        ending.start()
        ending.join(within_s)


def _register_tokens() -> None:
    for name in HEADERS_FROM:
        for pair in os.environ.get(name, "").split(","):
            register_secret(pair.partition("=")[2].strip())
