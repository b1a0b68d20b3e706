"""``vision-stream gateway``: the dashboard, the WebSocket and the REST interface of a Kafka deployment."""

from __future__ import annotations

from typing import Annotated

import typer


def gateway(
    host: Annotated[str | None, typer.Option(help="address to listen on; others than loopback need a token")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: a free one")] = None,
) -> None:
    """Push detections and risks to browsers: dashboard at [b]/[/b], WebSocket at [b]/ws[/b], REST at [b]/api/v1[/b]."""
    import asyncio

    from vision_stream import config, logs
    from workers.gateway.process import serve

    settings = config.load(overrides={"gateway.host": host, "gateway.port": port})
    logs.setup(settings.log_level, settings.log_format)
    asyncio.run(serve(settings, on_ready=lambda at: typer.echo(f"Dashboard: {at.url}/")))


def register(app: typer.Typer) -> None:
    app.command()(gateway)
