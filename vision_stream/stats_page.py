"""``/stats`` on Faust's web page: agents, lag, tables, key pool. JSON for ``?format=json`` or an Accept of it."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from faust.web import View

from vision_stream import __version__

if TYPE_CHECKING:
    from vision_stream.app import App

STYLE = "body{font:14px system-ui;margin:2em;max-width:70em}td,th{padding:.2em 1em;text-align:left}th{color:#555}"
REFRESH_S = 2


def add_to(app: App) -> None:
    """Declare the page on ``app``."""

    @app.page("/stats", name="stats")
    class Stats(View):
        async def get(self, request: Any, **_: Any) -> Any:
            stats = collect(app)
            if request.query.get("format") == "json" or "json" in request.headers.get("Accept", ""):
                return self.json(stats)
            return self.html(render(stats))


def collect(app: App) -> dict[str, Any]:
    """What the page shows, as plain JSON values; holds no secret."""
    stats = {
        "app": app.conf.id,
        "version": __version__,
        "at": time.time(),
        "roles": list(app.settings.stream_roles),
        "rebalancing": app.rebalancing,
        "agents": {
            name: {"topics": sorted(stage.topics), "unacked": len(stage), "running": stage.running}
            for name, stage in app.stages.items()
        },
        "partitions": [_partition(app, tp) for tp in sorted(app.ledger)],
        "tables": {name: {"rows": len(table)} for name, table in app.tables.items()},
    }
    return msgspec.to_builtins(stats | {name: report() for name, report in app.reports.items()})


def _partition(app: App, tp: Any) -> dict[str, Any]:
    done, end = app.ledger[tp].committable, app.consumer.highwater(tp)
    lag = max(end - done, 0) if end is not None else None
    return {"topic": tp.topic, "partition": tp.partition, "done_up_to": done, "end": end, "lag": lag}


def render(stats: Mapping[str, Any]) -> str:
    sections = "".join(f"<h2>{html.escape(name)}</h2>{_table(value)}" for name, value in stats.items())
    head = f"<meta charset=utf-8><meta http-equiv=refresh content={REFRESH_S}><title>Vision Stream</title>"
    return f"<!doctype html>{head}<style>{STYLE}</style><h1>Vision Stream worker</h1>{sections}"


def _table(value: Any) -> str:
    if isinstance(value, Mapping) and value and all(isinstance(v, Mapping) for v in value.values()):
        value = [{"": name, **row} for name, row in value.items()]
    if not (isinstance(value, (list, tuple)) and value and all(isinstance(row, Mapping) for row in value)):
        return f"<p>{_text(value)}</p>"
    names = list(dict.fromkeys(name for row in value for name in row))
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    rows = "".join("<tr>" + "".join(f"<td>{_text(row.get(n, ''))}</td>" for n in names) + "</tr>" for row in value)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(item) for item in value)
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))
