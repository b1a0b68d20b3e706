"""All metrics, each with its meaning and its remedy; panels and docs use these words.

Names with the client's spelling stand as the client gave them; all others are ``vision_stream_*`` in base units.
"""

from __future__ import annotations

import asyncio
import threading

import structlog
from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from vision_stream import __version__, probes
from vision_stream.metric_notes import NotedCounter, NotedHistogram

_log = structlog.get_logger(__name__)

FAST = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30)

# When each series began: for a rate nobody asks it, and it would be every other line of a page of 1,000 cameras.
disable_created_metrics()

# Capture; those of a camera are counted by ``camera_metrics``
detections = Counter("detection_total", "Detections published by a camera.", ["camera"])
detection_latency = Histogram(
    "detection_latency_seconds",
    "Frame read to detection delivered. High: a slow model or broker; lower --fps or use a smaller model.",
    buckets=FAST,
)
inference_seconds = Histogram("vision_stream_inference_seconds", "One frame through the detector.", buckets=FAST)
frames_skipped = Counter(
    "vision_stream_frames_skipped_total", "Frames passed over for a newer one, or not delivered.", ["camera", "reason"]
)

frames_captured = Counter("vision_stream_frames_captured_total", "Frames read from a camera.", ["camera"])
frames_inferred = Counter("vision_stream_frames_inferred_total", "Frames of a camera that were looked at.", ["camera"])
camera_inference_seconds = Counter(
    "vision_stream_camera_inference_seconds_total",
    "Seconds that the detector spent on a camera's frames, its share of batches. 1 a second over a process's cameras: "
    "it is full; lower --fps, use a smaller model or a GPU.",
    ["camera"],
)
last_frame = Gauge(
    "vision_stream_camera_last_frame_timestamp_seconds",
    "When a camera's newest frame was read; its start, before the first. Old: the camera is blind, see its state.",
    ["camera"],
)
reconnects = Counter(
    "vision_stream_camera_reconnects_total",
    "How often a camera was opened anew. Rising: its network or its power; its status says the cause.",
    ["camera"],
)

# Every process
build = Info("vision_stream_build", "The version that runs. Several at once: an upgrade is under way.")
build.info({"version": __version__})
loop_beat = Gauge(
    "vision_stream_loop_beat_timestamp_seconds",
    "When the event loop last ran its heartbeat, each second. Old: the process is wedged; restart it.",
    ["loop"],
)
asyncio_tasks = Gauge(
    "vision_stream_asyncio_tasks",
    "Tasks on the event loop. Growing for hours under a steady load: something is started and never ends.",
    ["loop"],
)
no_progress = Gauge(
    "vision_stream_no_progress_seconds",
    "For how long a worker has had work and got nowhere, by kind: stalled, wedged, recovery, group or loop. At 30 s it "
    "ends itself, to be started again.",
    ["kind"],
)

# Streaming
tasks = Counter(
    "assessment_tasks_total", "Assessment tasks by their one outcome: assessed, expired or failed.", ["outcome"]
)
tasks_shed = Counter(
    "vision_stream_tasks_shed_total",
    "Tasks that got no LLM call because an operator sheds below a priority: vision-stream shed --off ends that.",
)
groups_skipped = Counter("vision_stream_groups_skipped_total", "Groups that got no LLM call, by reason.", ["reason"])
dead_letters = Counter(
    "dead_letters_total", "Messages that could not be read or handled; see the dead-letters topic.", ["topic"]
)
consumer_lag = Gauge(
    "kafka_consumer_lag", "Messages behind the end of a partition. Growing: add workers.", ["topic", "partition"]
)
consumer_lag_seconds = Gauge(
    "kafka_consumer_lag_seconds", "Age of the oldest message not yet committed. Above 5 s: add workers.", ["topic"]
)
in_flight = Gauge("vision_stream_events_in_flight", "Events taken and not yet acked.", ["agent"])
events_done = Counter(
    "vision_stream_events_done_total",
    "Events handled to their end. Standing still while others wait: the worker is stalled.",
    ["agent"],
)
retries = Counter("vision_stream_handler_retries_total", "Handlers that failed and were run again.", ["agent"])

# LLM
llm_requests = NotedCounter(
    "llm_requests_total",
    "LLM calls by API key and result. Many failures of one key: see its cooldown.",
    ["key", "result"],
)
llm_latency = NotedHistogram(
    "llm_latency_seconds",
    "One LLM call, lease to parsed answer. P95 above 10 s: add keys, or lower max_concurrent_tasks.",
    buckets=SLOW,
)
llm_wait = NotedHistogram("vision_stream_llm_wait_seconds", "A task's wait for a free API key.", buckets=SLOW)
llm_tokens = NotedCounter("vision_stream_llm_tokens_total", "Tokens by direction: input or output.", ["direction"])
llm_spend = Counter(
    "vision_stream_llm_spend_total", "Cost of answered LLM calls by model, in the currency of llm.prices.", ["model"]
)
llm_spent_today = Gauge(
    "vision_stream_llm_spent_today", "Cost of this UTC day's LLM calls, those under way included, of all on this host."
)
llm_over_budget = Counter(
    "vision_stream_llm_over_budget_total",
    "Calls that were not made for want of money, by limit: day or camera. Raise llm.budget, or send fewer groups.",
    ["limit"],
)
llm_hedges = Counter(
    "vision_stream_llm_hedges_total",
    "Second calls for a slow first one, by who was quicker: won is the second. Few won: turn llm.hedging off.",
    ["result"],
)
llm_next_slot = Gauge(
    "vision_stream_llm_next_slot_seconds",
    "Until the first API key takes a call again: 0 now, +Inf never by itself. Long: add keys, or raise their limits.",
)
key_success_rate = Gauge(
    "api_key_success_rate",
    "Share of a key's calls in the last 5 minutes that got an answer. Below 0.95: look at it.",
    ["key"],
)
key_news = Histogram(
    "vision_stream_key_news_seconds",
    "From when another worker found that an API key fails or works again to when this one knew it. "
    "Above 0.1 s: this worker, the other or Kafka is too busy; their clocks count too.",
    buckets=FAST,
)
keys_available = Gauge("vision_stream_keys_available", "API keys that are neither cooling nor disabled.")

# Results
assessments = Counter(
    "vision_stream_camera_assessments_total", "Joined requests, complete or partial.", ["completeness"]
)
alerts = Counter("vision_stream_alerts_total", "Alerts by what happened to them.", ["state"])
end_to_end = Histogram("vision_stream_end_to_end_seconds", "Frame captured to assessment joined.", buckets=SLOW)
redis_errors = Counter(
    "vision_stream_redis_errors_total", "Redis commands that failed; work went on without.", ["store"]
)
redis_up = Gauge(
    "vision_stream_redis_up", "1 while Redis answers this process, 0 since a command could not reach it.", ["where"]
)

# Gateway
push_seconds = Histogram(
    "vision_stream_detection_push_seconds",
    "Frame captured to detection in the browsers' queues. Above 1 s: a slow model, broker or gateway.",
    buckets=FAST,
)
ws_clients = Gauge("vision_stream_websocket_clients", "Open WebSocket sessions.")
ws_pushed = Counter("vision_stream_websocket_messages_total", "Messages sent to browsers.", ["type"])
ws_dropped = Counter("vision_stream_websocket_dropped_total", "Messages a slow browser missed.", ["type"])
tail_connected = Gauge("vision_stream_gateway_kafka_connected", "1 while the gateway reads from Kafka.")
tail_skipped = Counter(
    "vision_stream_gateway_skipped_total", "Messages the gateway could not read and passed over.", ["topic"]
)

# MQTT
mqtt_connected = Gauge("vision_stream_mqtt_connected", "1 while the MQTT broker has us connected.")
mqtt_published = Counter(
    "vision_stream_mqtt_messages_total",
    "Messages that the MQTT broker confirmed: state, which it keeps, and news (events, alerts).",
    ["kind"],
)
mqtt_dropped = Counter(
    "vision_stream_mqtt_dropped_total",
    "Events and alerts that were dropped, oldest first, as too many waited for the MQTT broker (mqtt.max_waiting).",
)

# Audit
audit_findings = Gauge(
    "vision_stream_audit_findings",
    "Breaches that the last round of `audit --follow` found, by invariant. Above 0: `vision-stream audit` has the ids.",
    ["invariant"],
)
audit_at = Gauge("vision_stream_audit_timestamp_seconds", "When `audit --follow` last judged. Old: it cannot read.")


def serve(first_port: int, *, host: str = "127.0.0.1", tries: int = 40) -> int:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz`` on the first free port from ``first_port`` on; returns it.

    0 turns it off.
    """
    if first_port == 0:
        return 0
    for port in range(first_port, first_port + tries):
        try:
            server = probes.listen(host, port)
        except OSError:
            continue
        threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()
        _log.info("metrics served", url=f"http://{host}:{port}/metrics")
        return port
    _log.warning("no free port for metrics", first=first_port, tried=tries)
    return 0


def count_tasks(loop: str) -> None:
    """Let the gauge count the tasks of the running loop whenever it is scraped."""
    running = asyncio.get_running_loop()
    asyncio_tasks.labels(loop).set_function(lambda: len(asyncio.all_tasks(running)))


async def beat(loop: str) -> None:
    """Show until cancelled that the event loop runs: in the gauge, and to ``/healthz``."""
    count_tasks(loop)
    await probes.probes.beat(loop, loop_beat.labels(loop).set_to_current_time)
