"""Write deployment/prometheus/rules/slo.yml: ``python scripts/generate_slo_rules.py [--check]``.

Four promises, each by the share of events that broke it, over seven windows; and the alerts on the rate at which its
error budget burns (multi-window, multi-burn-rate): paged where 2 % of a month's budget goes in an hour or 5 % in six,
a ticket where 10 % goes in a day or three. Two windows each, so that an alert ends soon after its cause.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "deployment" / "prometheus" / "rules" / "slo.yml"
HEAD = "# Written by scripts/generate_slo_rules.py: change it there.\n"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
ERRORS, EVENTS = "vision_stream:slo_errors:ratio_{w}", "vision_stream:slo_events:increase_{w}"


@dataclass(frozen=True)
class Slo:
    name: str  # label
    alert: str
    objective: float
    promise: str
    bad: str  # expression of the share of bad events over window {w}
    events: str  # expression of the number of events over window {w}
    enough: int  # events in the long window, below which a share says nothing


@dataclass(frozen=True)
class Burn:
    severity: str
    factor: float  # times the rate that uses the budget up in 30 days
    long: str
    short: str


BURNS = (
    Burn("page", 14.4, "1h", "5m"),
    Burn("page", 6, "6h", "30m"),
    Burn("ticket", 3, "1d", "2h"),
    Burn("ticket", 1, "3d", "6h"),
)


def too_slow(histogram: str, limit: str) -> str:
    """Share of a histogram's events above ``limit``, which has to be one of its buckets."""
    within, all_ = f'{histogram}_bucket{{le="{limit}"}}', f"{histogram}_count"
    return f"1 - sum(rate({within}[{{w}}])) / (sum(rate({all_}[{{w}}])) > 0)"


REQUESTS = "vision_stream_camera_assessments_total"
SLOS = (
    Slo(
        name="judged",
        alert="SloJudgedBurn",
        objective=0.999,
        promise="a request is judged, or its failure explained, before its deadline",
        bad=f'(sum(rate({REQUESTS}{{completeness="partial"}}[{{w}}])) or vector(0)) '
        f"/ (sum(rate({REQUESTS}[{{w}}])) > 0)",
        events=f"sum(increase({REQUESTS}[{{w}}]))",
        enough=100,
    ),
    Slo(
        name="push",
        alert="SloPushBurn",
        objective=0.99,
        promise="a detection is with the browsers within 1 s of its frame",
        bad=too_slow("vision_stream_detection_push_seconds", "1.0"),
        events="sum(increase(vision_stream_detection_push_seconds_count[{w}]))",
        enough=100,
    ),
    Slo(
        name="verdict",
        alert="SloVerdictBurn",
        objective=0.95,
        promise="a verdict is there within 10 s of its frame",
        bad=too_slow("vision_stream_end_to_end_seconds", "10.0"),
        events="sum(increase(vision_stream_end_to_end_seconds_count[{w}]))",
        enough=50,
    ),
    Slo(
        name="cameras",
        alert="SloCamerasLiveBurn",
        objective=0.99,
        promise="a camera has given a frame in the last 30 s",
        bad="1 - avg_over_time(vision_stream:cameras_live:ratio[{w}])",
        events="count_over_time(vision_stream:cameras_live:ratio[{w}])",
        enough=20,
    ),
)


def recording(slo: Slo) -> list[dict[str, Any]]:
    names = ((ERRORS, slo.bad), (EVENTS, slo.events))
    return [
        {"record": name.format(w=w), "labels": {"slo": slo.name}, "expr": expr.replace("{w}", w)}
        for w in WINDOWS
        for name, expr in names
    ]


def alerts(slo: Slo) -> list[dict[str, Any]]:
    """One rule a severity, of the same name: they have one page."""
    return [
        {
            "alert": slo.alert,
            "expr": "\nor\n".join(_burns(slo, burn) for burn in BURNS if burn.severity == severity),
            "labels": {"severity": severity},
            "annotations": {
                "summary": f"Promise at risk: {slo.promise}, {slo.objective * 100:g} %. "
                "{{ $value | humanizePercentage }} broke it",
                "runbook": f"docs/runbooks/{slo.alert}.md",
            },
        }
        for severity in ("page", "ticket")
    ]


def _burns(slo: Slo, burn: Burn) -> str:
    limit = f"{burn.factor * (1 - slo.objective):.6g}"
    selector = f'{{slo="{slo.name}"}}'
    long, short = (ERRORS.format(w=w) + selector for w in (burn.long, burn.short))
    enough = f"{EVENTS.format(w=burn.long)}{selector} >= {slo.enough}"
    return f"(\n  {long} > {limit}\n  and {short} > {limit}\n  and {enough}\n)"


def rules() -> str:
    """The file's text."""
    groups = [{"name": f"vision-stream-slo-{slo.name}", "rules": recording(slo) + alerts(slo)} for slo in SLOS]
    return HEAD + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=1000)


class _Dumper(yaml.SafeDumper):
    """Expressions of several lines stay lines."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def main() -> int:
    if "--check" in sys.argv[1:]:
        if FILE.read_text() == rules():
            return 0
        print(f"{FILE.relative_to(ROOT)} is not what scripts/generate_slo_rules.py writes: run it", file=sys.stderr)
        return 1
    FILE.write_text(rules())
    return 0


if __name__ == "__main__":
    sys.exit(main())
