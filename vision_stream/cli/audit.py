"""``vision-stream audit``: whether anything of a run was lost, counted twice or mixed up."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_stream.cli.check_config import ConfigDir

if TYPE_CHECKING:
    from vision_stream.audit import Report
    from vision_stream.audit.facts import Window
    from vision_stream.audit.rounds import Rounds
    from vision_stream.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHOWN = 50  # findings; --json has all
SETTLE_EVERY_S = 1.0
FOLLOWED_S = 600.0  # how far back a round of --follow reads where --since does not say


def audit(
    since: Annotated[str, typer.Option(help="30s, 15m, 2h, 1d ago, or a time like 2030-01-31T12:00; else all")] = "",
    llm_calls: Annotated[str, typer.Option(help="file or URL of the LLM simulator's call log")] = "",
    gateway: Annotated[str, typer.Option(help="URL of the gateway: what it pushes is judged too")] = "",
    process: Annotated[list[str] | None, typer.Option(help="URL of a process's metrics; may come again")] = None,
    books: Annotated[
        list[Path] | None, typer.Option(help="`limits` in a host's data_dir, with the budget's books; may come again")
    ] = None,
    fault: Annotated[
        tuple[str, str], typer.Option(help="when a fault began and ended, as --since", metavar="FROM TO")
    ] = ("", ""),
    untouched: Annotated[
        list[str] | None, typer.Option(help="camera that the fault leaves alone; may come again; else all")
    ] = None,
    watch: Annotated[
        float, typer.Option(min=0, help="seconds to look at gateway and processes before the topics are read")
    ] = 35.0,
    settle: Annotated[float, typer.Option(min=0, help="seconds to wait until nothing is under way")] = 0.0,
    strict: Annotated[bool, typer.Option("--strict", help="for a run without faults: repeats are findings")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="audit until Ctrl-C, with metrics")] = False,
    every: Annotated[float, typer.Option(min=1, help="seconds between two rounds of --follow")] = 60.0,
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False,
) -> None:
    """Read the topics of a run, and say by content what was lost, doubled, swapped or wrong, with ids.

    Changes nothing. Exit code 0: nothing was found; 1: something was; 3: Kafka does not answer. The configuration must
    be the workers': the gate and the join are replayed with it.
    """
    from vision_stream import config
    from vision_stream.audit.rounds import Rounds, Sources

    settings, now = config.load(config_dir), time.time()
    sources = Sources(
        llm_calls=llm_calls,
        gateway=gateway,
        processes=tuple(process or ()),
        books=tuple(books or ()),
        fault=_window(fault, now),
        untouched=frozenset(untouched) if untouched else None,
    )
    back_s = max(FOLLOWED_S, now - parse_since(since, now)) if since else FOLLOWED_S
    rounds = Rounds(settings, sources, strict=strict, kept_s=back_s)
    if follow:
        asyncio.run(_follow(rounds, settings, since, every))
    watched_s = watch if gateway or process else 0.0
    report = asyncio.run(_settled(rounds, parse_since(since, now), watched_s, settle))
    print(_json(report) if as_json else text(report))
    if not report.ok:
        raise typer.Exit(1)


async def _settled(rounds: Rounds, since: float, watched_s: float, within_s: float) -> Report:
    async with rounds:
        await asyncio.sleep(watched_s)
        until = time.monotonic() + within_s
        while True:
            report = await rounds.report(since)
            if report.settled or time.monotonic() >= until:
                return report
            await asyncio.sleep(SETTLE_EVERY_S)


async def _follow(rounds: Rounds, settings: Settings, since: str, every_s: float) -> None:
    from vision_stream import metrics
    from vision_stream.audit.findings import INVARIANTS
    from vision_stream.errors import DependencyError

    prometheus = settings.monitoring.prometheus
    metrics.serve(prometheus.port, host=prometheus.host)
    said: set[tuple[str, str]] = set()
    async with rounds:
        while True:
            now = time.time()
            try:
                report = await rounds.report(parse_since(since, now) or now - FOLLOWED_S)
            except DependencyError as error:  # it outlives a broker that is away; its time stamp grows old
                typer.echo(f"not audited: {error.what}", err=True)
            else:
                for invariant in INVARIANTS:
                    found = sum(finding.invariant == invariant for finding in report.findings)
                    metrics.audit_findings.labels(invariant).set(found)
                metrics.audit_at.set(now)
                for finding in report.findings:
                    if (finding.id, finding.what) not in said:
                        typer.echo(f"{finding.invariant:4} {finding.id}: {finding.what}")
                said = {(finding.id, finding.what) for finding in report.findings}
            await asyncio.sleep(every_s)


def _window(fault: tuple[str, str], now: float) -> Window | None:
    from vision_stream.audit.facts import Window

    if not any(fault):
        return None
    begin, end = (parse_since(at, now) for at in fault)
    if not begin < end:
        raise typer.BadParameter("gives no time from its begin to its end", param_hint="--fault")
    return Window(begin, end)


def parse_since(text: str, now: float) -> float:
    """Epoch seconds of what a person typed; 0.0 of nothing.

    >>> parse_since("15m", now=10_000.0)
    9100.0
    """
    if not text:
        return 0.0
    if ago := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text):
        return max(now - float(ago[1]) * UNITS[ago[2]], 0.001)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither like 15m nor like 2030-01-31T12:00", param_hint="--since or --fault"
        ) from None


def text(report: Report) -> str:
    """For a person at a terminal."""
    from vision_stream.audit.findings import INVARIANTS

    lines = [f"{'read':20} {_counts(report.counts)}"]
    lines += [f"{'skipped groups':20} {_counts(report.reasons)}"] if report.reasons else []
    lines += [f"{'came again':20} {_counts(report.repeats)}"] if report.repeats else []
    lines += [f"{'under way':20} {_counts(report.pending)}"] if report.pending else []
    for invariant, meaning in INVARIANTS.items():
        found = sum(finding.invariant == invariant for finding in report.findings)
        judged = report.checked.get(invariant, 0)
        state = f"{found} found" if found else "holds" if judged else "not judged"
        lines.append(f"{invariant:4} {state:11} {judged:>7} judged  {meaning}")
        lines += [f"     not judged: {why}" for why in report.undecided.get(invariant, ())]
    lines += [f"{f.invariant:4} {f.id}: {f.what}" for f in report.findings[:SHOWN]]
    if len(report.findings) > SHOWN:
        lines.append(f"... and {len(report.findings) - SHOWN} more; --json has all")
    lines.append(f"{len(report.findings)} found" if report.findings else "nothing was found")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()) if n) or "nothing"


def _json(report: Report) -> str:
    import msgspec

    return msgspec.json.encode({"ok": report.ok, "settled": report.settled, **msgspec.structs.asdict(report)}).decode()


def register(app: typer.Typer) -> None:
    app.command()(audit)
