"""The ledger: docs/reliability.jsonl, a line a round, and docs/reliability.md, which is made of it."""

from __future__ import annotations

import functools
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.faults.suite.row import Row
from vision_stream.kafka_jars import KAFKA_VERSION

ROOT = Path(__file__).parents[3]
LINES = ROOT / "docs" / "reliability.jsonl"
PAGE = ROOT / "docs" / "reliability.md"
INTRODUCTION = ROOT / "docs" / "reliability.intro.md"
SEEDS_SHOWN = 5
QUIET = 3.0  # load a core, above which a machine is busy with something else too
ENOUGH = 5  # quiet rounds of a row, for its recovery to be theirs alone
NEWEST = 10  # of them: older ones have timed older code


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One round."""

    row: str
    seed: int
    at: str  # when it ended, UTC
    seconds: float
    fault_s: float  # how long the fault lasted
    first_s: float | None  # from its end to the first new outcome, through all stages
    all_s: float | None  # and until every camera had one
    detections: int
    tasks: int
    outcomes: dict[str, int]
    llm_repeated: int  # calls beyond one for each verdict
    lost: int
    failed: str = ""  # why
    events: list[str] = []
    load: float | None = None  # of the machine for each of its cores, at the fault: the suite's own part is about 2
    commit: str
    versions: str

    def __str__(self) -> str:
        recovery = " ".join("-" if s is None else f"{s:.1f}" for s in (self.first_s, self.all_s))
        text = (
            f"{self.row:18} seed {self.seed:<6} {self.seconds:5.1f} s  fault {self.fault_s:4.1f}  back {recovery}  "
            f"{self.detections} detections, {self.tasks} tasks, {self.llm_repeated} calls again, {self.lost} lost"
        )
        return f"{text}\n  FAILED {self.failed}" if self.failed else text


def append(record: Record) -> None:
    with LINES.open("ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")


def read() -> list[Record]:
    lines = LINES.read_bytes().splitlines() if LINES.exists() else []
    return [msgspec.json.decode(line, type=Record) for line in lines]


def page(rows: Sequence[Row], records: Sequence[Record], introduction: str) -> str:
    """The whole page."""
    lines = [
        "## Rounds",
        "",
        "| Row | Fault | Rounds | Failed | Back after: p50 / p95 / max (asked), s | Every camera: p50 / p95 / max, s "
        "| of rounds | LLM calls again: p50 / max | Last seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row, [r for r in records if r.row == row.name]) for row in rows]
    return "\n".join([introduction, *lines, "", *_failures(records), *_played(records)])


def write_page(rows: Sequence[Row]) -> None:
    PAGE.write_text(page(rows, read(), INTRODUCTION.read_text()))


def _line(row: Row, records: Sequence[Record]) -> str:
    failed = sum(bool(r.failed) for r in records)
    timed, which = _timed(records)
    first = _spread([r.first_s for r in timed if r.first_s is not None])
    cells = [
        row.name,
        row.title,
        str(len(records)),
        str(failed),
        f"{first} ({row.recovers_within_s:g})",
        _spread([r.all_s for r in timed if r.all_s is not None]),
        which,
        _half_and_most([r.llm_repeated for r in records]),
        " ".join(str(r.seed) for r in records[-SEEDS_SHOWN:]),
    ]
    return f"| {' | '.join(cells)} |"


def _timed(records: Sequence[Record]) -> tuple[Sequence[Record], str]:
    """The rounds whose recovery is shown, and what is said of them."""
    quiet = [r for r in records if r.load is not None and r.load <= QUIET]
    if len(quiet) < ENOUGH:
        return records, f"all {len(records)}"
    newest = quiet[-NEWEST:]
    return newest, f"newest {len(newest)} of {len(quiet)} quiet" if len(newest) < len(quiet) else f"{len(quiet)} quiet"


def _spread(values: Iterable[float]) -> str:
    """p50 / p95 / max."""
    found = sorted(values)
    if not found:
        return "-"
    return " / ".join(f"{v:.1f}" for v in (quantile(found, 0.5), quantile(found, 0.95), found[-1]))


def _half_and_most(values: Iterable[int]) -> str:
    found = sorted(values)
    return f"{quantile(found, 0.5)} / {found[-1]}" if found else "-"


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest of the values that ``share`` of them do not exceed.

    >>> quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0.95)
    (2, 4)
    """
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]


def _failures(records: Sequence[Record]) -> list[str]:
    failed = [r for r in records if r.failed]
    if not failed:
        return []
    lines = [f"- {r.at}, {r.row}, seed {r.seed}, at {r.commit}: {r.failed.splitlines()[0][:300]}" for r in failed]
    return ["## Rounds that failed", "", *lines, ""]


def _played(records: Sequence[Record]) -> list[str]:
    if not records:
        return []
    hours = sum(r.seconds for r in records) / 3600
    used = sorted({r.versions for r in records})
    commits = list(dict.fromkeys(r.commit for r in records))
    return [
        f"{len(records)} rounds, {hours:.1f} hours, {sum(r.detections for r in records):,} detections, "
        f"{sum(r.tasks for r in records):,} tasks; from {records[0].at} to {records[-1].at}, "
        f"commits {', '.join(commits[-SEEDS_SHOWN:])}; {'; '.join(used)}.",
        "",
    ]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")


@functools.cache
def head() -> str:
    """The commit that is checked out; with a plus where its sources were changed."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + (
            "+" if _git("status", "--porcelain", "-uno", "--", "vision_stream", "agents", "tables") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@functools.cache
def versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("vision-stream", "faust-streaming", "aiokafka"))
    return f"Kafka {KAFKA_VERSION}, Python {platform.python_version()}, {packages}"
