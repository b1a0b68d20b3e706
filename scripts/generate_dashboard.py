"""Write Grafana's dashboard: ``python scripts/generate_dashboard.py [--check]``.

The first row answers in the order in which one asks at night: is it losing, is it late, is it blind, and which camera,
key or partition is it. A panel's description is what ``vision_stream.metrics`` says of its metrics.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from vision_stream import metrics

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "deployment" / "grafana" / "dashboards" / "vision-stream.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # columns of Grafana's grid
GREEN, AMBER, RED = "green", "orange", "red"
assert metrics.detections  # the registry holds our metrics once they are imported


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    title: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 6
    height: int = 7
    limits: tuple[float, ...] = ()  # amber, red from; one alone: red
    low_is_bad: bool = False
    about: str = ""


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def lines(title: str, expr: str, legend: str = "", **more: Any) -> Panel:
    return Panel(title, (Query(expr, legend),), **more)


def number(title: str, expr: str, **more: Any) -> Panel:
    return Panel(title, (Query(expr),), kind="stat", height=4, **{"width": 4, **more})


def worst(title: str, expr: str, legend: str, **more: Any) -> Panel:
    return Panel(title, (Query(expr, legend),), kind="bargauge", width=8, **more)


def percentiles(title: str, histogram: str, **more: Any) -> Panel:
    buckets = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    queries = tuple(Query(f"histogram_quantile({q}, {buckets})", f"P{q * 100:.0f}") for q in (0.5, 0.95, 0.99))
    return Panel(title, queries, unit="s", **more)


FIRST = Row(
    "Losing? Late? Blind? Which camera, key, partition?",
    (
        number(
            "Losing? Dead letters, 10 min",
            "sum(increase(dead_letters_total[10m])) or vector(0)",
            limits=(1,),
            about="Above 0: DeadLetters.",
        ),
        number(
            "Losing? Requests not complete, 1 h",
            'vision_stream:slo_errors:ratio_1h{slo="judged"}',
            unit="percentunit",
            limits=(0.001, 0.0144),
            about="Outcomes were missing at the deadline: SloJudgedBurn.",
        ),
        number(
            "Late? Oldest unread message",
            "max(vision_stream:consumer_lag_seconds:max)",
            unit="s",
            limits=(2, 5),
            about="Age of the oldest message not yet committed: ConsumerLagHigh.",
        ),
        number(
            "Late? Verdict, P95",
            "histogram_quantile(0.95, sum by (le) (rate(vision_stream_end_to_end_seconds_bucket[5m])))",
            unit="s",
            limits=(5, 10),
        ),
        number(
            "Blind? Cameras without frames",
            "count(vision_stream:camera_frame_age_seconds > 30) or vector(0)",
            limits=(1,),
            about="No frame for 30 s: CameraWithoutFrames.",
        ),
        number(
            "Blind? Processes that do not answer",
            'count(up{job=~"vision-stream-.+"} == 0) or vector(0)',
            limits=(1,),
            about="Prometheus cannot reach them: ProcessDown.",
        ),
        worst(
            "Which camera? Seconds since its last frame",
            "topk(8, vision_stream:camera_frame_age_seconds)",
            "{{camera}}",
            unit="s",
            limits=(10, 30),
            about="The worst eight: CameraWithoutFrames.",
        ),
        worst(
            "Which key? Calls answered, 5 min",
            "bottomk(8, vision_stream:api_key_success:ratio_increase5m)",
            "{{key}}",
            unit="percentunit",
            limits=(0.9, 0.95),
            low_is_bad=True,
            about="The worst eight: ApiKeyFailing.",
        ),
        worst(
            "Which partition? Messages behind",
            "topk(8, vision_stream:consumer_lag:max)",
            "{{topic}} {{partition}}",
            limits=(50, 500),
            about="The worst eight: ConsumerLagHigh.",
        ),
    ),
)


def promise(title: str, slo: str, objective: float) -> Panel:
    return number(
        f"{title}, {objective * 100:g} %",
        f'1 - vision_stream:slo_errors:ratio_1d{{slo="{slo}"}}',
        unit="percentunit",
        limits=(objective - (1 - objective), objective),
        low_is_bad=True,
        width=6,
        about="Of the last day. See the runbook of the promise's alert.",
    )


ROWS = (
    FIRST,
    Row(
        "Promises",
        (
            promise("Judged or explained", "judged", 0.999),
            promise("Detection with the browser in 1 s", "push", 0.99),
            promise("Verdict in 10 s", "verdict", 0.95),
            promise("Cameras live", "cameras", 0.99),
            Panel(
                "Alerts that fire",
                (Query('ALERTS{alertstate="firing"}', "{{alertname}} {{severity}}"),),
                kind="table",
                width=24,
                height=5,
                about="Each has a page in docs/runbooks.",
            ),
        ),
    ),
    Row(
        "Work",
        (
            lines(
                "Detections",
                'sum by (camera) (rate(detection_total{camera=~"$camera"}[$__rate_interval]))',
                "{{camera}}",
                unit="reqps",
            ),
            lines(
                "Tasks by outcome",
                "sum by (outcome) (rate(assessment_tasks_total[$__rate_interval]))",
                "{{outcome}}",
                unit="reqps",
            ),
            lines(
                "Groups without a call, by reason",
                "sum by (reason) (rate(vision_stream_groups_skipped_total[$__rate_interval]))",
                "{{reason}}",
                unit="reqps",
            ),
            lines(
                "Frames passed over",
                'sum by (reason) (rate(vision_stream_frames_skipped_total{camera=~"$camera"}[$__rate_interval]))',
                "{{reason}}",
                unit="reqps",
            ),
            lines(
                "Requests joined",
                "sum by (completeness) (rate(vision_stream_camera_assessments_total[$__rate_interval]))",
                "{{completeness}}",
                unit="reqps",
            ),
            lines("Alerts", "sum by (state) (increase(vision_stream_alerts_total[5m]))", "{{state}}, 5 min"),
            lines(
                "Seconds since a camera's last frame",
                'vision_stream:camera_frame_age_seconds{camera=~"$camera"}',
                "{{camera}}",
                unit="s",
                about="Above 30 s the camera is blind.",
            ),
            lines(
                "Frames by camera, read",
                'sum by (camera) (rate(vision_stream_frames_captured_total{camera=~"$camera"}[$__rate_interval]))',
                "{{camera}}",
                unit="reqps",
            ),
            lines(
                "Frames by camera, looked at",
                'sum by (camera) (rate(vision_stream_frames_inferred_total{camera=~"$camera"}[$__rate_interval]))',
                "{{camera}}",
                unit="reqps",
            ),
            lines(
                "The detector's time, by camera",
                "sum by (camera) "
                '(rate(vision_stream_camera_inference_seconds_total{camera=~"$camera"}[$__rate_interval]))',
                "{{camera}}",
                unit="percentunit",
            ),
            lines(
                "Cameras opened anew",
                'sum by (camera) (increase(vision_stream_camera_reconnects_total{camera=~"$camera"}[10m]))',
                "{{camera}}, 10 min",
            ),
            lines("Dead letters", "sum by (topic) (increase(dead_letters_total[10m]))", "{{topic}}, 10 min"),
        ),
    ),
    Row(
        "How long it takes",
        (
            percentiles("The detector", "vision_stream_inference_seconds"),
            percentiles("Frame to Kafka", "detection_latency_seconds"),
            percentiles("Frame to browser", "vision_stream_detection_push_seconds"),
            percentiles("Waiting for an API key", "vision_stream_llm_wait_seconds"),
            percentiles("An LLM call", "llm_latency_seconds", width=12),
            percentiles("Frame to verdict", "vision_stream_end_to_end_seconds", width=12),
        ),
    ),
    Row(
        "API keys and money",
        (
            lines(
                "Calls by result",
                "sum by (result) (rate(llm_requests_total[$__rate_interval]))",
                "{{result}}",
                unit="reqps",
            ),
            lines("Calls by key", "sum by (key) (rate(llm_requests_total[$__rate_interval]))", "{{key}}", unit="reqps"),
            lines(
                "A key's success, as its worker sees it",
                "min by (key) (api_key_success_rate)",
                "{{key}}",
                unit="percentunit",
            ),
            lines(
                "Usable keys", "vision_stream:keys_available:max", "keys", about="0: AllApiKeysCooling.", limits=(1,)
            ),
            lines(
                "Calls not made for want of money",
                "sum by (limit) (increase(vision_stream_llm_over_budget_total[10m]))",
                "{{limit}}, 10 min",
                width=8,
            ),
            lines(
                "Tokens",
                "sum by (direction) (rate(vision_stream_llm_tokens_total[$__rate_interval]))",
                "{{direction}}",
                width=8,
            ),
            percentiles("What a worker finds of a key, to the others", "vision_stream_key_news_seconds", width=8),
            Panel(
                "Spend a day, at the last hour's rate",
                (
                    Query("vision_stream:llm_spend_per_day:rate1h", "spend"),
                    Query("vision_stream:llm_budget_per_day", "budget"),
                ),
                width=8,
                about="By llm.prices, else by those of prometheus/rules/recording.yml, which has the budget too.",
            ),
        ),
    ),
    Row(
        "Workers and Kafka",
        (
            lines("Lag, seconds", "vision_stream:consumer_lag_seconds:max", "{{topic}}", unit="s", about="By topic."),
            lines("Lag, messages", "sum by (topic) (vision_stream:consumer_lag:max)", "{{topic}}", about="By topic."),
            lines("Taken and not yet done", "sum by (agent) (vision_stream_events_in_flight)", "{{agent}}"),
            lines(
                "Done",
                "sum by (agent) (rate(vision_stream_events_done_total[$__rate_interval]))",
                "{{agent}}",
                unit="reqps",
            ),
            lines(
                "Run again",
                "sum by (agent) (increase(vision_stream_handler_retries_total[5m]))",
                "{{agent}}, 5 min",
                width=12,
            ),
            lines(
                "Seconds since a loop's last beat",
                "vision_stream:loop_beat_age_seconds",
                "{{instance}}",
                unit="s",
                width=12,
                about="Above 30 s: WorkerWedged.",
            ),
        ),
    ),
    Row(
        "Gateway, Redis, processes",
        (
            lines(
                "Browsers",
                'sum by (instance) (vision_stream_websocket_clients{job="vision-stream-gateway"})',
                "{{instance}}",
            ),
            lines(
                "Pushes",
                "sum by (type) (rate(vision_stream_websocket_messages_total[$__rate_interval]))",
                "{{type}}",
                unit="reqps",
            ),
            lines(
                "Missed by slow browsers",
                "sum by (type) (rate(vision_stream_websocket_dropped_total[$__rate_interval]))",
                "{{type}}",
                unit="reqps",
            ),
            lines(
                "Gateways that read Kafka",
                'vision_stream_gateway_kafka_connected{job="vision-stream-gateway"}',
                "{{instance}}",
            ),
            lines(
                "Messages a gateway could not read",
                "sum by (topic) (increase(vision_stream_gateway_skipped_total[10m]))",
                "{{topic}}, 10 min",
            ),
            lines(
                "Told an MQTT broker",
                "sum by (kind) (rate(vision_stream_mqtt_messages_total[$__rate_interval]))",
                "{{kind}}",
                unit="reqps",
            ),
            lines("Dropped before an MQTT broker", "sum(increase(vision_stream_mqtt_dropped_total[10m]))", "10 min"),
            lines("Redis answers", "min by (where) (vision_stream_redis_up)", "{{where}}"),
            lines(
                "Redis commands that failed",
                "sum by (store) (rate(vision_stream_redis_errors_total[$__rate_interval]))",
                "{{store}}",
                unit="reqps",
            ),
            lines(
                "Memory",
                'process_resident_memory_bytes{job=~"vision-stream-.+"}',
                "{{instance}}",
                unit="bytes",
                about="Resident, by process.",
            ),
            lines(
                "CPU",
                'rate(process_cpu_seconds_total{job=~"vision-stream-.+"}[$__rate_interval])',
                "{{instance}}",
                about="Cores used, by process.",
                width=12,
            ),
            lines(
                "Answers Prometheus", 'up{job=~"vision-stream-.+"}', "{{job}} {{instance}}", about="1: yes.", width=12
            ),
        ),
    ),
)


def documentation() -> dict[str, str]:
    """What a metric means, by the name that a query uses."""
    found = {}
    for family in REGISTRY.collect():
        for sample in {family.name, *(family.name + end for end in ("_total", "_bucket", "_count", "_sum"))}:
            found[sample] = family.documentation
    return found


def description(panel: Panel, known: dict[str, str]) -> str:
    named = dict.fromkeys(name for query in panel.queries for name in re.findall(r"[a-z_:][a-z0-9_:]*", query.expr))
    said = dict.fromkeys(known[name] for name in named if name in known)
    return " ".join([*said, panel.about]).strip()


def as_json(panel: Panel, number_: int, x: int, y: int, known: dict[str, str]) -> dict[str, Any]:
    return {
        "id": number_,
        "type": panel.kind,
        "title": panel.title,
        "description": description(panel, known),
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [_target(panel, query, chr(ord("A") + i)) for i, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, query: Query, ref: str) -> dict[str, Any]:
    now = panel.kind != "timeseries"
    return {
        "refId": ref,
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": now,
        "range": not now,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _field(panel: Panel) -> dict[str, Any]:
    colours = [RED, AMBER, GREEN] if panel.low_is_bad else [GREEN, AMBER, RED]
    if len(panel.limits) == 1:
        colours = [colours[0], colours[2]]
    steps = [{"color": colours[0], "value": None}]
    steps += [{"color": c, "value": v} for c, v in zip(colours[1:], panel.limits, strict=False)]
    return {
        "unit": panel.unit,
        "min": 0,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps if panel.limits else steps[:1]},
    }


def _options(panel: Panel) -> dict[str, Any]:
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        return {"reduceOptions": reduce, "colorMode": "background", "graphMode": "none", "textMode": "value"}
    if panel.kind == "bargauge":
        return {"reduceOptions": reduce, "orientation": "horizontal", "displayMode": "basic"}
    if panel.kind == "table":
        return {"showHeader": True}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def panels() -> Iterator[dict[str, Any]]:
    """All rows and panels, laid out from left to right."""
    known, y, number_ = documentation(), 0, 0
    for row in ROWS:
        number_ += 1
        yield {"id": number_, "type": "row", "title": row.title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}  # fmt: skip
        y, x, height = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            number_ += 1
            yield as_json(panel, number_, x, y, known)
            x, height = x + panel.width, max(height, panel.height)
        y += height


def dashboard() -> dict[str, Any]:
    return {
        "uid": "vision-stream",
        "title": "Vision Stream",
        "tags": ["vision-stream"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource_variable(), _camera_variable()]},
        "annotations": {"list": []},
        "panels": list(panels()),
    }


def _datasource_variable() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "hide": 0}


def _camera_variable() -> dict[str, Any]:
    query = "label_values(vision_stream_camera_last_frame_timestamp_seconds, camera)"
    return {
        "name": "camera",
        "type": "query",
        "label": "Camera",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "camera"},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        if FILE.read_text() == text():
            return 0
        print(f"{FILE.relative_to(ROOT)} is not what scripts/generate_dashboard.py writes: run it", file=sys.stderr)
        return 1
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
