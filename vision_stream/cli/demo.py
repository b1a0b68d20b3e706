"""``vision-stream demo``: the main job on real parts, with nothing prepared."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from vision_stream.errors import ConfigError


def demo(
    cameras: Annotated[int, typer.Option(min=1, max=20, help="simulated cameras, one capture worker each")] = 3,
    fps: Annotated[float, typer.Option(min=0.1, max=30, help="frames a second that are looked at")] = 2.0,
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the dashboard; the next free one is taken")] = 8000,
    seconds: Annotated[float | None, typer.Option(min=15, help="end after this and report; else at Ctrl-C")] = None,
    headless: Annotated[bool, typer.Option(help="do not open the dashboard in a browser")] = False,
    real_llm: Annotated[
        bool, typer.Option(help="ask OPENAI_BASE_URL with OPENAI_API_KEY (it costs money), not the simulator")
    ] = False,
    logs: Annotated[Path | None, typer.Option(help="keep the processes' logs in this directory")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the report as one line of JSON")] = False,
) -> None:
    """Run cameras, Kafka, Redis, Faust, an LLM simulator and the dashboard, until Ctrl-C.

    With --seconds it ends by itself: with 0 if every assessment task has its outcome and every request its join, else
    with 1.
    """
    import msgspec

    from vision_stream import logs as logging
    from workers.demo.plan import DemoOptions
    from workers.demo.report import text
    from workers.demo.run import Interrupted, run

    _require_key(real_llm)
    logging.setup("WARNING")  # the processes' own logs are in their files
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:5.1f} s  {line}", file=sys.stderr, flush=True)

    options = DemoOptions(cameras=cameras, fps=fps, port=port, real_llm=real_llm)
    try:
        found = asyncio.run(run(options, seconds=seconds, say=say, logs=logs, open_browser=not headless))
    except Interrupted:
        say("ended")
        raise typer.Exit(130) from None
    print(msgspec.json.encode(found).decode() if as_json else text(found), flush=True)
    if not found.sound:
        raise typer.Exit(1)


def _require_key(real_llm: bool) -> None:
    import os

    if real_llm and not os.environ.get("OPENAI_API_KEY"):
        raise ConfigError("--real-llm without OPENAI_API_KEY", remedy="export it, or use the simulator")


def register(app: typer.Typer) -> None:
    app.command()(demo)
