"""Prometheus's rules: valid, each alert proved to fire and to resolve, each with its page in both languages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import generate_slo_rules
from tests.deployment_files import ROOT, program

PROMETHEUS = ROOT / "deployment" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = {
    RUNBOOKS: ("First step", "Meaning", "Impact", "Diagnosis", "Mitigation"),
    RUNBOOKS / "zh-CN": ("第一步", "含义", "影响", "诊断", "处理"),
}
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def alert_rules() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


ALERTS = sorted({rule["alert"] for rule in alert_rules()})


def promtool(*args: str | Path) -> str:
    done = subprocess.run([program("promtool"), *map(str, args)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_and_the_configurations_are_valid():
    promtool("check", "rules", *RULES)
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_promtools_tests_of_the_rules_pass(path: Path):
    promtool("test", "rules", path)


def seconds(duration: str) -> int:
    return sum(int(number) * UNITS_S[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


def proofs(alert: str, severity: str) -> list[tuple[int, int]]:
    """(fires at, silent at) of each promtool test of the alert."""
    found = []
    for case in (case for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]):
        fires = silent = None
        for check in case["promql_expr_test"]:
            if f'alertname="{alert}"' not in check["expr"]:
                continue
            if f'severity="{severity}"' not in check["expr"] and check["exp_samples"]:
                continue
            if check["exp_samples"]:
                fires = seconds(check["eval_time"])
            else:
                silent = seconds(check["eval_time"])
        if fires is not None and silent is not None:
            found.append((fires, silent))
    return found


@pytest.mark.parametrize(("alert", "severity"), [(rule["alert"], rule["labels"]["severity"]) for rule in alert_rules()])
def test_each_alert_fires_and_then_resolves_in_a_test(alert: str, severity: str):
    assert any(fires < silent for fires, silent in proofs(alert, severity)), f"{alert} has no test that shows both"


@pytest.mark.parametrize("folder", SECTIONS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_page_that_says_what_to_do(alert: str, folder: Path):
    page = folder / f"{alert}.md"
    assert page.is_file(), f"{alert} has no runbook page {page.relative_to(ROOT)}"
    text = page.read_text()
    assert text.startswith(f"# {alert}\n")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert tuple(heads) == SECTIONS[folder]
    first_step = text.split(f"## {heads[0]}\n")[1].split("\n## ")[0]
    assert "```sh\n" in first_step, "the first step can be copied"


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_whom_to_wake_and_names_its_page(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"
    assert rule["annotations"]["summary"]


@pytest.mark.parametrize("folder", SECTIONS, ids=lambda folder: folder.name)
def test_no_page_is_of_an_alert_that_is_gone(folder: Path):
    pages = {page.stem for page in folder.glob("*.md")} - {"README"}
    assert pages == set(ALERTS)


def test_the_slo_rules_are_what_their_source_writes():
    assert generate_slo_rules.FILE.read_text() == generate_slo_rules.rules()


@pytest.mark.parametrize("folder", SECTIONS, ids=lambda folder: folder.name)
def test_the_index_of_the_runbooks_lists_every_alert(folder: Path):
    listed = set(re.findall(r"\]\((\w+)\.md\)", (folder / "README.md").read_text()))
    assert set(ALERTS) <= listed
