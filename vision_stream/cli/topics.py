"""``vision-stream topics``: make them before anything subscribes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vision_stream.topic_admin import Ensured

DONE = {
    "created": "created",
    "raised": "raised",
    "updated": "exists, its settings were updated",
    "unchanged": "exists",
}

commands = typer.Typer(name="topics", help="The topics of Kafka, changelogs included.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """The topics of Kafka, changelogs included."""


@commands.command()
def init(
    config_dir: Annotated[Path | None, typer.Option(help="of the YAML files")] = None,
    wait: Annotated[float | None, typer.Option(min=0, help="seconds for the broker; kafka.yaml if not given")] = None,
    raise_partitions: Annotated[
        bool,
        typer.Option("--raise-partitions", help="add partitions where there are too few; stop all workers first"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Make the topics that are missing, check the others, and wait until all have leaders.

    Safe to repeat. A topic with another number of partitions than config/kafka.yaml wants is an error (exit 2); a
    broker that does not answer is one too (exit 3).
    """
    from vision_stream import config
    from vision_stream.partition_counts import RAISING_MOVES
    from vision_stream.topics import ensure

    settings = config.load(config_dir)
    done = asyncio.run(ensure(settings, wait, raise_partitions=raise_partitions, update=True))
    print(_as_json(done) if as_json else "\n".join(map(_line, done)))
    if any(change == "raised" for _, change in done):
        print(f"note: {RAISING_MOVES}", file=sys.stderr)


def _line(ensured: Ensured) -> str:
    spec, change = ensured
    return f"✓ Topic '{spec.name}' {DONE[change]} ({spec.partitions} partition{'s' if spec.partitions > 1 else ''})"


def _as_json(done: Sequence[Ensured]) -> str:
    return json.dumps([{"topic": s.name, "partitions": s.partitions, "change": change} for s, change in done])


def register(app: typer.Typer) -> None:
    app.add_typer(commands)
