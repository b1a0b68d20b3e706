"""The dashboard is what its source writes, and its first row answers the night's questions."""

from __future__ import annotations

import json
import re

import yaml

from scripts import generate_dashboard
from tests.deployment_files import DEPLOYMENT


def test_the_dashboard_is_what_its_source_writes():
    assert generate_dashboard.FILE.read_text() == generate_dashboard.text()


def test_the_first_row_asks_losing_late_blind_and_which():
    titles = [panel.title for panel in generate_dashboard.FIRST.panels]
    asked = list(dict.fromkeys(re.match(r"[A-Za-z ]+\?", title)[0] for title in titles))  # type: ignore[index]
    assert asked == ["Losing?", "Late?", "Blind?", "Which camera?", "Which key?", "Which partition?"]


def test_panels_lie_on_the_grid_and_none_covers_another():
    taken: set[tuple[int, int]] = set()
    for panel in generate_dashboard.panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= generate_dashboard.WIDTH
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells


def test_every_panel_says_what_it_shows():
    undescribed = [panel["title"] for panel in generate_dashboard.panels() if not panel.get("description", "row")]
    assert undescribed == []


def test_ids_are_unique_and_the_uid_is_stable():
    board = json.loads(generate_dashboard.FILE.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert board["uid"] == "vision-stream"


def test_grafana_finds_prometheus_and_the_dashboard_by_itself():
    provisioning = DEPLOYMENT / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "vision-stream.yml").read_text())["providers"]
    compose = (DEPLOYMENT / "docker-compose.infra.yml").read_text()
    assert source["url"] == "http://prometheus:9090"
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose
