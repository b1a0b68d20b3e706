"""A run's journal as a page, with a verdict: ``(page, wrong)``."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tests.soak import figures
from tests.soak.faults import FAULTS
from tests.soak.figures import Point
from tests.soak.stage import KEYS

# Judged. The others are shown: workers that live too short for more than their recoveries, what is not ours, and the
# simulator, which keeps each call by design.
OURS = ("a", "gateway")
LONG_WARM_UP = {"gateway": 0.75}  # of a long life: the last 100 alerts of each camera are there after 90 minutes
NAMES = {**{name: f"worker {name}" for name in "abcd"}, "llm": "LLM simulator", "kafka": "Kafka", "redis": "Redis"}
TOLD = ("tasks", "assessed", "expired", "failed", "joins", "complete", "partial", "lost", "stuck", "findings",
        "dead letters", "tasks again", "outcomes again", "joins again", "LLM calls again")  # fmt: skip
BOUNDS = {"messages not committed": float("inf"), "rows of key_cooldowns": KEYS}  # what may grow up to there
COUNTS = ("tasks", "threads", "descriptors", "connections")
Line = dict[str, Any]


def report(lines: Sequence[Line]) -> tuple[str, list[str]]:
    """The page in Markdown, and what is wrong; nothing: the run has passed."""
    if not lines:
        return "nothing was written\n", ["nothing was written"]
    begun = lines[0]
    warm_up_s = begun["warm_up_s"]
    parts = [_head(lines, begun)]
    wrong: list[str] = []
    for part in (_content, _audit, _faults, _memory, _counts, _stores):
        text, found = part(lines, warm_up_s)
        parts.append(text)
        wrong += found
    verdict = "Passed." if not wrong else "Not passed:\n" + "".join(f"- {what}\n" for what in wrong)
    return "\n".join([*parts, f"### Verdict\n\n{verdict}"]), wrong


def _head(lines: Sequence[Line], begun: Line) -> str:
    minutes = (lines[-1]["at"] - begun["at"]) / 60
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(begun["at"]))
    ended = "" if any(line["kind"] == "ended run" for line in lines) else ", cut off"
    return (
        f"## {when} UTC, {minutes:.0f} of {begun['minutes']:g} minutes{ended}\n\n"
        f"`python -m tests.soak --minutes {begun['minutes']:g} --per-s {begun['per_s']:g} "
        f"--every-s {begun['every_s']:g} --seed {begun['seed']}`, commit {begun['commit']}, {begun['machine']}.\n"
    )


def _content(lines: Sequence[Line], _: float) -> tuple[str, list[str]]:
    states = [line for line in lines if line["kind"] == "state"]
    if not states:
        return "", ["no state was written"]
    counts, last = states[-1]["counts"], states[-1]
    viewers = "; ".join(
        f"{name}: {seen.get('detection_result', 0):,} detections, {seen.get('risk_assessment', 0):,} assessments, "
        f"{seen.get('alert', 0):,} alert states, {seen.get('pushed twice', 0)} pushed twice, "
        f"{seen.get('sessions', 0)} session(s)"
        for name, seen in last["viewers"].items()
    )
    sent, seconds = _load(states, lines)
    told = {name: f"{counts.get(name, 0):,} {name}" for name in TOLD}
    text = (
        f"### Nothing lost, nothing twice\n\n"
        f"{sent:,} detections sent ({sent / seconds:.1f}/s), {told['tasks']}: {told['assessed']}, {told['expired']}, "
        f"{told['failed']}; {told['joins']}: {told['complete']}, {told['partial']}. **{told['lost']}**, "
        f"{told['stuck']} for minutes, {told['findings']}, {told['dead letters']}; {last['under_way']} under way at "
        f"the end. Came again, as after a kill: {told['tasks again']}, {told['outcomes again']}, "
        f"{told['joins again']}; {told['LLM calls again']}.\n\nBrowsers: {viewers}.\n"
    )
    wrong = [f"{counts[name]} {name}" for name in ("lost", "findings", "dead letters") if counts.get(name)]
    wrong += [f"{name}: pushed twice" for name, seen in last["viewers"].items() if seen.get("pushed twice")]
    wrong += [f"the auditor failed: {line['error']}" for line in lines if line["kind"] == "auditor failed"]
    for line in lines:
        if line["kind"] == "ended run" and not line["settled"]:
            wrong.append(f"not settled at the end: {line['open']}, not committed {line['lag']}")
    wrong += [f"{line['at']:.0f} {finding}" for line in lines if line["kind"] == "findings" for finding in line["new"]]
    return text, wrong


def _audit(lines: Sequence[Line], _: float) -> tuple[str, list[str]]:
    found = next((line for line in lines if line["kind"] == "audit"), None)
    if found is None:
        return "", []
    if "error" in found:
        return "", [f"`vision-stream audit` did not end: {found['error']}"]
    checked = ", ".join(f"{invariant} {n:,}" for invariant, n in found["checked"].items())
    text = (
        f"### The last minutes by `vision-stream audit`\n\n{len(found['findings'])} findings. Judged: {checked}. "
        f"Not judged: {', '.join(found['undecided']) or 'nothing'}.\n"
    )
    return text, [f"audit: {finding}" for finding in found["findings"]]


def _load(states: Sequence[Line], lines: Sequence[Line]) -> tuple[int, float]:
    """Detections sent, and the seconds in which they were."""
    end = next((line for line in lines if line["kind"] == "load ended"), states[-1])
    return end["sent"], max(end["at"] - states[0]["at"], 1.0)


def _faults(lines: Sequence[Line], _: float) -> tuple[str, list[str]]:
    rounds: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line["kind"] == "fault":
            rounds[line["name"]].append(line)
    rows = [
        "| Fault | Rounds | Asked, s | First outcome, s: median, max | Every camera had one, s: median, max | "
        "All sent before was through, s: max |\n|---|---|---|---|---|---|"
    ]
    wrong = []
    for name, (title, asked_s, _fault) in FAULTS.items():
        found = rounds.get(name, [])
        rows.append(
            f"| {name} {title} | {len(found)} | {asked_s:g} | {_spread(found, 'first_s')} | {_spread(found, 'all_s')} "
            f"| {_most(found, 'settled_s')} |"
        )
        wrong += [f"{name}: {line['wrong']}" for line in found if line.get("wrong")]
        wrong += [f"{name}: no outcome after it" for line in found if line["first_s"] is None]
    ended = [line for line in lines if line["kind"] == "ended"]
    unasked = f"\nWorkers that ended by themselves and were started again: {len(ended)}" if ended else ""
    unasked += f" ({', '.join(str(line['status']) for line in ended)}).\n" if ended else "\n"
    return "### Faults\n\n" + "\n".join(rows) + "\n" + unasked, wrong


def _memory(lines: Sequence[Line], warm_up_s: float) -> tuple[str, list[str]]:
    rows = [
        "| Process | Memory of its own, last, MB | RSS, last, MB | Slope, MB/h | Lives fitted | Longest, min |\n"
        "|---|---|---|---|---|---|"
    ]
    wrong = []
    for name, samples in _by_process(lines).items():
        found = figures.slope(_lives(samples, "anon_mb"), warm_up_s=warm_up_s, long_warm_up=LONG_WARM_UP.get(name, 0.5))
        told = "no life is long enough" if found is None else f"{found.per_h:+.2f}"
        fitted = "" if found is None else f"{found.lives} | {found.longest_s / 60:.0f}"
        rows.append(
            f"| {_name(name)} | {samples[-1]['anon_mb']:.1f} | {samples[-1]['rss_mb']:.1f} | {told} "
            f"| {fitted or ' | '} |"
        )
        if found is not None and name in OURS and found.per_h >= figures.MB_A_HOUR:
            wrong.append(f"{_name(name)} grows by {found.per_h:.2f} MB/h")
        if found is None and name in OURS:
            wrong.append(f"{_name(name)}: no life is long enough for a slope")
    text = (
        f"### Memory\n\nAsked of worker a and the gateway: below {figures.MB_A_HOUR:g} MB/h. The median of the slopes "
        f"between all pairs of samples of one life (Theil and Sen), {warm_up_s:g} s after its start.\n\n"
    )
    return text + "\n".join(rows) + "\n", wrong


def _counts(lines: Sequence[Line], warm_up_s: float) -> tuple[str, list[str]]:
    rows = ["| Process | " + " | ".join(f"{count}, early to late" for count in COUNTS) + " |\n|---|---|---|---|---|"]
    wrong = []
    for name, samples in _by_process(lines).items():
        cells = []
        for count in COUNTS:
            life = max(_lives(samples, count), key=len, default=[])
            found = figures.level(life, warm_up_s=warm_up_s)
            cells.append("" if found is None else f"{found.early:g} to {found.late:g}")
            if found is not None and name in OURS and not found.flat:
                wrong.append(f"{_name(name)}: {count} grow from {found.early:g} to {found.late:g}")
        rows.append(f"| {_name(name)} | " + " | ".join(cells) + " |")
    text = "### Tasks, threads, descriptors, connections\n\nLower quartiles of the longest life's first and last third."
    return text + "\n\n" + "\n".join(rows) + "\n", wrong


def _stores(lines: Sequence[Line], warm_up_s: float) -> tuple[str, list[str]]:
    states = [line for line in lines if line["kind"] == "state" and not line["rebalancing"]]
    tables = sorted({table for line in states for table in line["rows"]})
    series: dict[str, Callable[[Line], float | None]] = {
        "Redis keys": lambda line: line["redis_keys"],
        "Redis memory, MB": lambda line: line["redis_mb"],
        "messages not committed": lambda line: sum(line["lag"].values()) if line["lag"] else None,
        **{f"rows of {table}": lambda line, table=table: line["rows"].get(table) for table in tables},
    }
    rows, wrong = ["| | Early | Late | Most |\n|---|---|---|---|"], []
    for name, value in series.items():
        points = [(line["at"], float(found)) for line in states if (found := value(line)) is not None]
        found = figures.level(points, warm_up_s=warm_up_s)
        if found is None:
            continue
        rows.append(f"| {name} | {found.early:g} | {found.late:g} | {max(v for _, v in points):g} |")
        bound = BOUNDS.get(name)
        if bound is not None and found.late <= bound:
            continue
        if not found.flat:
            wrong.append(f"{name} grow from {found.early:g} to {found.late:g}")
    return "### Stores\n\n" + "\n".join(rows) + "\n", wrong


def _by_process(lines: Sequence[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line["kind"] == "sample":
            found[line["process"]].append(line)
    return dict(sorted(found.items(), key=lambda item: (item[0] not in OURS, item[0])))


def _lives(samples: Sequence[Line], field: str) -> list[list[Point]]:
    lives: dict[int, list[Point]] = defaultdict(list)
    for line in samples:
        if line[field] is not None:
            lives[line["pid"]].append((line["at"], float(line[field])))
    return list(lives.values())


def _name(process: str) -> str:
    return NAMES.get(process, process)


def _spread(found: Sequence[Line], field: str) -> str:
    values = sorted(line[field] for line in found if line[field] is not None)
    missing = len(found) - len(values)
    told = f"{values[len(values) // 2]:.1f}, {values[-1]:.1f}" if values else ""
    return told + (f" ({missing} not seen)" if missing else "")


def _most(found: Sequence[Line], field: str) -> str:
    values = [line[field] for line in found if line[field] is not None]
    return f"{max(values):.1f}" if values else ""
