"""``vision-stream gateway``: the dashboard, the WebSocket and the REST interface of a Kafka deployment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from vision_stream.errors import ConfigError
    from vision_stream.settings import Settings


def gateway(
    host: Annotated[str | None, typer.Option(help="address to listen on; others than loopback need a token")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: a free one")] = None,
) -> None:
    """Push detections and risks to browsers: dashboard at [b]/[/b], WebSocket at [b]/ws[/b], REST at [b]/api/v1[/b].

    With an invalid configuration it runs in safe mode, at --host and --port, or where ALGO_GATEWAY_HOST and
    ALGO_GATEWAY_PORT say: its page says what is wrong, and the dashboard comes once it is corrected.
    """
    import asyncio

    from vision_stream import config, live, logs
    from workers.gateway.process import serve

    live.outlive_sighup()
    overrides = {"gateway.host": host, "gateway.port": port}
    reload = partial(config.load, overrides=overrides)
    try:
        settings = reload()
    except config.InvalidConfig as error:
        settings = _in_safe_mode(error, overrides, reload)
    logs.setup(settings.log_level, settings.log_format)
    asyncio.run(
        serve(
            settings,
            on_ready=lambda at: typer.echo(f"Dashboard: {at.url}/"),
            reload=reload,
            configured=partial(config.load_with_places, overrides=overrides),
        )
    )


def _in_safe_mode(error: ConfigError, overrides: dict[str, Any], reload: Callable[[], Settings]) -> Settings:
    """Until the configuration is valid; ends the command where that was not waited for."""
    import asyncio

    from vision_stream import logs
    from workers.gateway.safe_mode import address, until_valid

    logs.setup()
    host, port = address(overrides["gateway.host"], overrides["gateway.port"])
    settings = asyncio.run(until_valid(error, reload, host=host, port=port))
    if settings is None:
        raise typer.Exit(0)
    return settings


def register(app: typer.Typer) -> None:
    app.command()(gateway)
