"""``python -m tests.soak``, ``--report DIR`` for a run that was cut off. Exit code 0: passed, 1: not."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Annotated

import typer

from tests.soak import journal
from tests.soak.report import report
from tests.soak.run import Plan, soak

RUNS = Path("var/soak")
PAGE, INTRO = Path("docs/soak.md"), Path("docs/soak.intro.md")


def main(
    minutes: Annotated[float, typer.Option(min=0.5, help="of load")] = 120.0,
    per_s: Annotated[float, typer.Option(min=1, help="detections a second")] = 100.0,
    every_s: Annotated[float, typer.Option(min=10, help="seconds between two faults")] = 300.0,
    seed: Annotated[int | None, typer.Option(help="of load and moments; none: a new one")] = None,
    warm_up_s: Annotated[float, typer.Option(min=0, help="of a life, before its memory says something")] = 300.0,
    record: Annotated[bool, typer.Option("--record", help=f"write the figures into {PAGE}")] = False,
    of: Annotated[Path | None, typer.Option("--report", help="only report the run in this directory")] = None,
) -> None:
    """Hours of load with a fault every few minutes: does anything grow, and is anything lost?"""
    directory = of or RUNS / time.strftime("%Y-%m-%d-%H%M%S")
    if of is None:
        plan = Plan(minutes, per_s, every_s, seed if seed is not None else random.randrange(1 << 20), warm_up_s)
        print(f"seed {plan.seed}; samples in {directory / journal.FILE}", flush=True)
        asyncio.run(soak(plan, directory.resolve()))
    page, wrong = report(journal.read(directory))
    (directory / "report.md").write_text(page)
    if record:
        PAGE.write_text(INTRO.read_text() + "\n" + page)
    print(page)
    raise typer.Exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
