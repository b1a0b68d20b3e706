"""``vision-stream mqtt``: counts, events, alerts and states of a Kafka deployment for an MQTT broker."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def mqtt(config_dir: Annotated[Path | None, typer.Option(help="of the YAML files")] = None) -> None:
    """Tell the MQTT broker of [b]mqtt[/b] in config/settings.yaml what the cameras see, in Home Assistant's shapes.

    One such process is enough. Needs the extra mqtt, and Kafka; in one process see mqtt.enabled and vision-stream run.
    """
    import asyncio

    from vision_stream import config, live, logs
    from workers.mqtt.process import serve

    live.outlive_sighup()
    configured = partial(config.load_with_places, config_dir)
    settings = configured().settings
    logs.setup(settings.log_level, settings.log_format)
    raise typer.Exit(asyncio.run(serve(settings, configured)))


def register(app: typer.Typer) -> None:
    app.command()(mqtt)
