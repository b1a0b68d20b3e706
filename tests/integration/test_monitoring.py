"""A real Prometheus scrapes a real run: every rule and every panel finds what it asks for, or says why it cannot."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import generate_dashboard
from tests.conftest import run_apart
from tests.deployment_files import DEPLOYMENT, program
from tests.waiting import eventually
from vision_stream.server_process import free_ports

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

CAMERAS = 2
# Of these metrics a healthy run has no series: they appear with the first event of their kind.
ONLY_IN_TROUBLE = {
    "ALERTS": "nothing fires in a healthy run",
    "dead_letters_total": "no message is buried",
    "vision_stream_handler_retries_total": "no handler is run again",
    "vision_stream_redis_errors_total": "Redis answers",
    "vision_stream_websocket_dropped_total": "no browser is slow",
    "vision_stream_gateway_skipped_total": "every message can be read",
    "vision_stream_mqtt_messages_total": "no MQTT broker is told",
    "vision_stream_llm_over_budget_total": "the demo has no budget",
    "vision_stream_llm_spend_total": "the demo has no prices",
}
# And these appear when the scene wants them: 2 cameras may show no danger within a minute.
ONLY_IN_DANGER = {"vision_stream_alerts_total": "an alert needs a verdict of high"}
EXCEPTIONS = ONLY_IN_TROUBLE | ONLY_IN_DANGER


def wait(condition: Callable[[], Any], within_s: float, *, every_s: float, what: str = "") -> Any:
    """The servers outlive each test, so nothing here has a loop of its own."""
    return run_apart(eventually(condition, within_s, every_s=every_s, what=what))


class Prometheus:
    """One on a free port of loopback, asking each second."""

    def __init__(self, directory: Path, targets: dict[str, list[str]]) -> None:
        self._directory = directory
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        config = directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config(targets)))
        self._log = (directory / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={self.address}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def _config(self, targets: dict[str, list[str]]) -> dict[str, Any]:
        rules = []
        for path in sorted((DEPLOYMENT / "prometheus" / "rules").glob("*.yml")):
            groups = yaml.safe_load(path.read_text())["groups"]
            for group in groups:
                group.pop("interval", None)
            copy = self._directory / path.name
            copy.write_text(yaml.safe_dump({"groups": groups}))
            rules.append(str(copy))
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": where}]} for job, where in targets.items()
            ],
        }

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def has(self, expr: str) -> bool:
        return bool(self.get("query", query=expr)["result"])

    @property
    def up(self) -> bool:
        try:
            return bool(self.get("status/buildinfo"))
        except OSError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._log.close()


class Run:
    """A demo, and the pages where its processes serve their metrics."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        (self._port,) = free_ports(1)
        command = (sys.executable, "-m", "vision_stream", "demo", "--headless", "--port", str(self._port))
        self._said = (logs / "said.txt").open("w")
        self._process = subprocess.Popen(
            [*command, "--cameras", str(CAMERAS), "--logs", str(logs)], stdout=self._said, stderr=self._said
        )

    def pages(self) -> dict[str, list[str]]:
        """Addresses by job, of the processes that serve so far."""
        found: dict[str, list[str]] = {"vision-stream-gateway": [f"127.0.0.1:{self._port}"]}
        for job, pattern in (("vision-stream-worker", "Faust-worker.log"), ("vision-stream-capture", "capture-*.log")):
            texts = [path.read_text() for path in sorted(self._logs.glob(pattern))]
            found[job] = re.findall(r"http://([\d.]+:\d+)/metrics", "\n".join(texts))
        return found

    @property
    def complete(self) -> bool:
        assert self._process.poll() is None, (self._logs / "said.txt").read_text()
        pages = self.pages()
        return len(pages["vision-stream-capture"]) == CAMERAS and len(pages["vision-stream-worker"]) == 1

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        self._said.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    program("prometheus")
    running = Run(tmp_path_factory.mktemp("demo"))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def prometheus(run: Run, tmp_path_factory: pytest.TempPathFactory):
    wait(lambda: run.complete, within_s=90, every_s=0.5, what="all processes serve metrics")
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), run.pages())
    try:
        wait(lambda: server.up, within_s=30, every_s=0.2)
        yield server
    finally:
        server.stop()


def asked_metrics(expr: str) -> set[str]:
    """Names of metrics in an expression, with neither its label names nor PromQL's own words."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', "", expr)
    bare = re.sub(r"\b(by|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b", bare))
    return {word for word in words if "_" in word or word in ("up", "ALERTS")} - FUNCTIONS


FUNCTIONS = {"histogram_quantile", "avg_over_time", "count_over_time"}


def test_metrics_are_found_in_expressions():
    expr = 'sum by (some_label) (rate(a_total{x="b_c"}[5m])) / on (l_m) histogram_quantile(0.9, d:e_f) or vector(0)'
    assert asked_metrics(expr) == {"a_total", "d:e_f"}


def rule_metrics() -> set[str]:
    found: set[str] = set()
    for path in (DEPLOYMENT / "prometheus" / "rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                found |= asked_metrics(rule["expr"])
                found |= {rule["record"]} if "record" in rule else set()
    return found


def test_every_metric_that_a_rule_asks_for_is_there(prometheus: Prometheus):
    wanted = rule_metrics() - EXCEPTIONS.keys()
    wait(lambda: not missing(prometheus, wanted), within_s=90, every_s=1)


def missing(prometheus: Prometheus, names: set[str]) -> set[str]:
    absent = {name for name in names if not prometheus.has(name)}
    assert not absent, f"no data for {sorted(absent)}"
    return absent


def test_every_recording_rule_gives_data_and_no_rule_fails(prometheus: Prometheus):
    def rules() -> list[dict[str, Any]]:
        found = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert all(rule["health"] == "ok" for rule in found), [rule for rule in found if rule["health"] != "ok"]
        return found

    found = wait(rules, within_s=60, every_s=1)

    selectors = {(rule["name"], tuple(rule.get("labels", {}).items())) for rule in found if rule["type"] == "recording"}
    expressions = {f"{name}{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels)}}}" for name, labels in selectors}
    assert len(expressions) > 60
    wait(lambda: not missing(prometheus, expressions), within_s=60, every_s=1)


def panel_queries() -> list[tuple[str, str]]:
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "30s").replace("$camera", ".*"))
        for panel in generate_dashboard.panels()
        for target in panel.get("targets", [])
    ]


def test_every_panel_shows_data(prometheus: Prometheus):
    queries = [(title, expr) for title, expr in panel_queries() if not asked_metrics(expr) & EXCEPTIONS.keys()]
    assert len(queries) > 40

    def empty() -> list[str]:
        found = [f"{title}: {expr}" for title, expr in queries if not prometheus.has(expr)]
        assert not found, found
        return found

    wait(lambda: not empty(), within_s=90, every_s=1)


def test_panels_of_what_goes_wrong_ask_valid_questions(prometheus: Prometheus):
    for _, expr in panel_queries():
        prometheus.get("query", query=expr)  # 400 for one that is not PromQL


def test_promtool_answers_what_the_runbooks_ask(prometheus: Prometheus):
    pages = "\n".join(page.read_text() for page in (DEPLOYMENT.parent / "docs" / "runbooks").rglob("*.md"))
    asked = set(re.findall(r"promtool query instant http://localhost:9090 '([^']+)'", pages)) - {"..."}
    assert len(asked) >= 8
    for expr in asked:
        command = [program("promtool"), "query", "instant", f"http://{prometheus.address}", expr]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{expr}: {done.stderr}"


def test_no_alert_fires_in_a_healthy_run(prometheus: Prometheus):
    """But that of a busy machine: everything runs on the same cores here."""
    busy = {"SloPushBurn", "SloVerdictBurn", "SloCamerasLiveBurn", "ConsumerLagHigh", "LlmSlow"}
    firing = {
        alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"
    }
    assert firing - busy == set()


def test_promtool_finds_nothing_wrong_with_any_metrics_page(prometheus: Prometheus, run: Run):
    for job, addresses in run.pages().items():
        for address in addresses:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
                page = answer.read()
            done = subprocess.run(
                [program("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=30
            )
            assert done.returncode == 0, f"{job}: {done.stderr.decode()}{done.stdout.decode()}"


def test_each_process_is_alive_and_ready(prometheus: Prometheus, run: Run):
    for addresses in run.pages().values():
        for address in addresses:
            for page in ("healthz", "readyz"):
                with urllib.request.urlopen(f"http://{address}/{page}", timeout=10) as answer:
                    assert answer.status == 200
