"""The configuration of the updates finds what there is to update. Renovate itself is not run here."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scripts import dev

ROOT = Path(__file__).parents[2]
RENOVATE = json.loads((ROOT / "renovate.json").read_text())


def found_in(path: str) -> list[str]:
    """The versions that the custom managers of a file find in it."""
    mine = [
        manager
        for manager in RENOVATE["customManagers"]
        if any(re.search(pattern.strip("/"), path) for pattern in manager["managerFilePatterns"])
    ]
    text = (ROOT / path).read_text()
    expressions = [each.replace("(?<", "(?P<") for manager in mine for each in manager["matchStrings"]]
    return [match["currentValue"] for each in expressions for match in re.finditer(each, text)]


def test_every_package_of_the_lock_is_found():
    blocks = [block for section in dev.read_lock().values() for block in section]
    pinned = [re.split(r"[\s;]", block.split("==", 1)[1])[0] for block in blocks]
    assert sorted(found_in("requirements.lock")) == sorted(pinned)


def test_kafka_and_the_base_images_are_found():
    assert len(found_in("vision_stream/kafka_jars.py")) == 1
    assert len(found_in("deployment/Dockerfile")) == (ROOT / "deployment/Dockerfile").read_text().count("_IMAGE=")


def test_what_it_runs_and_keeps_exists():
    for rule in RENOVATE["packageRules"]:
        for command in rule.get("postUpgradeTasks", {}).get("commands", ()):
            assert command.startswith("python3 scripts/dev.py lock")
        for name in rule.get("postUpgradeTasks", {}).get("fileFilters", ()):
            assert (ROOT / name).is_file()
