"""``vision-stream shed``: under overload, spend the LLM calls on the most urgent groups alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def shed(
    below: Annotated[
        int | None, typer.Option(min=1, max=100, help="tasks of a lower priority get no call; see docs/operations.md")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="call for all tasks again")] = False,
    config_dir: Annotated[Path | None, typer.Option("--config-dir", help="of the YAML files")] = None,
) -> None:
    """End tasks below a priority at once, on all workers and over their restarts, until [b]--off[/b].

    They are pushed as expired, with the reason "shed", never as "no risk". Detections go on. A group has priority 20,
    one of people and vehicles 45 or more, one of people close to vehicles that close in up to 100.
    """
    import asyncio

    from vision_stream import config
    from vision_stream.key_words import shed

    if (below is None) != off:
        raise typer.BadParameter("give --below N or --off")
    asyncio.run(shed(config.load(config_dir), below=below or 0))
    if below is None:
        print("LLM calls are made for all tasks again")
    else:
        print(f"tasks with a priority below {below} get no LLM call from now on; `vision-stream shed --off` ends that")


def register(app: typer.Typer) -> None:
    app.command()(shed)
