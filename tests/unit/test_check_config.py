"""``vision-stream check-config``, as a person and as a script call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vision_stream.cli import main


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_API_KEY", "ALGO_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_config(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check-config", *arguments])
    return int(ended.value.code or 0)


def test_a_good_configuration_is_said_to_be_good(capsys: pytest.CaptureFixture[str]):
    assert check_config() == 0
    assert capsys.readouterr().out == "ok: files from config/; mode: one process, without Kafka; warnings: 1\n"


def test_a_bad_configuration_ends_with_code_2_and_the_reasons(capsys: pytest.CaptureFixture[str]):
    Path("config/kafka.yaml").write_text("app_id: a b\n")

    assert check_config() == 2
    assert capsys.readouterr().err.startswith("error: config/kafka.yaml:1:9\n  field:   app_id\n")


def test_a_script_gets_the_reasons_as_json(capsys: pytest.CaptureFixture[str]):
    Path("config/kafka.yaml").write_text("app_id: a b\n")

    assert check_config("--json") == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("config/kafka.yaml", 1, 9)
    assert (problem["field"], problem["found"]) == ("app_id", "a b")


def test_show_gives_each_value_and_its_source_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    Path("config/api_keys.yaml").write_text(
        'keys:\n- {id: key-001, api_key: canary-key, base_url: "http://h/v1?token=canary-b"}\n'
    )
    Path("config/cameras.yaml").write_text('cameras:\n- {id: a, source: "rtsp://u:canary-c@10.0.0.5/s?token=canary"}\n')
    Path(".env").write_text("ALGO_GATEWAY_TOKEN=canary-token\nALGO_GATEWAY_PORT=8001\n")
    monkeypatch.setenv("ALGO_REDIS_URL", "redis://u:canary-pw@h/1")

    assert check_config("--show") == 0

    output = capsys.readouterr()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in output.out.splitlines()}
    assert "canary" not in output.out + output.err
    assert rows["llm.keys[0].api_key"] == "*** config/api_keys.yaml:2:26"
    assert rows["llm.keys[0].base_url"] == "http://h/v1?token=*** config/api_keys.yaml:2:48"
    assert rows["llm.keys[0].model"] == "gpt-4o-mini default"
    assert rows["cameras.cameras[0].source"] == "rtsp://10.0.0.5/s?token=*** config/cameras.yaml:2:19"
    assert rows["redis.url"] == "redis://h/1 environment ALGO_REDIS_URL"
    assert rows["gateway.token"] == "*** .env:1:1 ALGO_GATEWAY_TOKEN"
    assert rows["gateway.port"] == "8001 .env:2:1 ALGO_GATEWAY_PORT"
    assert rows["kafka.topics.dead_letters.partitions"] == "16 default"


def test_show_as_json_has_every_setting(capsys: pytest.CaptureFixture[str]):
    assert check_config("--show", "--json") == 0

    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert report["settings"]["gateway.port"] == {"value": 8000, "source": "default"}
    assert [warning["field"] for warning in report["warnings"]] == ["llm.keys"]
