from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import SettingsMaker
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings
from vision_stream.topics import specs

ROOT = Path(__file__).resolve().parents[2]


def run(config_dir: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/init_kafka_topics.py", "--config-dir", str(config_dir), *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def settings(kafka_settings: SettingsMaker) -> Settings:
    return kafka_settings(partitions=2)


@pytest.fixture
def config_dir(settings: Settings, tmp_path: Path) -> Path:
    kafka = settings.kafka.model_dump(mode="json", include={"bootstrap_servers", "app_id", "topics"})
    (tmp_path / "kafka.yaml").write_text(yaml.safe_dump(kafka))
    return tmp_path


def test_it_says_what_it_made_and_then_that_it_is_there(config_dir: Path, settings: Settings):
    name = settings.kafka.topics.detection_results.name

    first = run(config_dir)
    again = run(config_dir)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert f"✓ Topic '{name}' created (2 partitions)" in first.stdout.splitlines()
    assert f"✓ Topic '{name}' exists (2 partitions)" in again.stdout.splitlines()


def test_a_script_gets_json(config_dir: Path, settings: Settings):
    answer = run(config_dir, "--json")
    assert [(row["topic"], row["change"]) for row in json.loads(answer.stdout)] == [
        (spec.name, "created") for spec in specs(settings)
    ]


def test_a_broker_that_is_not_there_ends_it_with_3(tmp_path: Path):
    server = f"127.0.0.1:{free_ports(1)[0]}"
    (tmp_path / "kafka.yaml").write_text(yaml.safe_dump({"bootstrap_servers": [server]}))

    answer = run(tmp_path, "--wait", "0.2")

    assert answer.returncode == 3
    assert f"Failed to connect to Kafka at {server}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_wrong_number_of_partitions_ends_it_with_2(config_dir: Path, settings: Settings):
    run(config_dir)
    text = (config_dir / "kafka.yaml").read_text()
    (config_dir / "kafka.yaml").write_text(text.replace("partitions: 2", "partitions: 1"))

    answer = run(config_dir, "--raise-partitions")

    assert answer.returncode == 2
    assert f"topic '{settings.kafka.topics.detection_results.name}' has 2, not 1" in answer.stderr
