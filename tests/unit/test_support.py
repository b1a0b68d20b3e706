"""A bundle holds what a supporter needs and no secret; a backup holds everything and comes back."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.secret_search import Searcher
from vision_stream.cli import main
from vision_stream.support import backup, parts

SECRETS = {
    "API key": "sk-canary-api-key-0123456789",
    "token": "canary-gateway-token-42",
    "Redis password": "canary-redis-pass-77",
    "camera password": "canary-camera-pass-99",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project directory with secrets in its configuration, its environment and, as they must not be, its logs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "api_keys.yaml").write_text(
        f"keys:\n  - {{id: key-001, api_key: {SECRETS['API key']}, base_url: 'http://127.0.0.1:9/v1'}}\n"
    )
    (tmp_path / "config" / "cameras.yaml").write_text(
        f"cameras:\n  - {{id: gate, source: 'rtsp://admin:{SECRETS['camera password']}@127.0.0.1:9/x'}}\n"
    )
    (tmp_path / ".env").write_text(f"ALGO_GATEWAY_TOKEN={SECRETS['token']}\n")
    monkeypatch.setenv("ALGO_REDIS_URL", f"redis://:{SECRETS['Redis password']}@127.0.0.1:9/0")
    monkeypatch.setenv("ALGO_GATEWAY_PORT", "0")
    logs = tmp_path / "logs" / "streaming"
    logs.mkdir(parents=True)
    (logs / "scheduler.log").write_text("a line\n" + "".join(f"oh dear: {secret}\n" for secret in SECRETS.values()))
    return tmp_path


def run(*argv: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(argv))
    return int(ended.value.code or 0)


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None}


def test_a_bundle_has_the_parts_and_none_of_the_secrets(site: Path):
    assert run("bundle", "--out", "b.tar.gz") == 0

    found = members(site / "b.tar.gz")
    searcher = Searcher(SECRETS)
    assert [told for name, data in found.items() for told in searcher.search(name, data)] == []
    assert {name.partition("/")[2] for name in found} == {
        "machine.json", "packages.txt", "environment.txt", "settings.json", "doctor.json", "services.json",
        "logs/scheduler.log",
    }  # fmt: skip
    assert b"oh dear: ***" in found["b/logs/scheduler.log"]
    assert b"ALGO_REDIS_URL" in found["b/environment.txt"]
    assert (site / "b.tar.gz").stat().st_mode & 0o077 == 0


def test_a_part_that_fails_leaves_its_reason_and_the_others(site: Path, monkeypatch: pytest.MonkeyPatch):
    def broken() -> str:
        raise OSError("no such page")

    monkeypatch.setattr(parts, "_machine", broken)
    assert run("bundle", "--out", "b.tar.gz") == 0
    found = members(site / "b.tar.gz")
    assert found["b/machine.json"] == b"not gathered: OSError: no such page"
    assert b"vision-stream" in found["b/packages.txt"]


def test_of_a_long_log_the_end_is_taken_in_whole_lines(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parts, "LOG_BYTES", 100)
    (site / "logs" / "streaming" / "scheduler.log").write_text("".join(f"line {n:05}\n" for n in range(1000)))
    assert run("bundle", "--out", "b.tar.gz") == 0
    kept = members(site / "b.tar.gz")["b/logs/scheduler.log"].decode().splitlines()
    assert kept == [f"line {n:05}" for n in range(1000 - len(kept), 1000)]
    assert 5 < len(kept) <= 10


def test_an_archive_that_is_there_is_not_written_over(site: Path, capsys: pytest.CaptureFixture[str]):
    (site / "b.tar.gz").write_text("mine")
    assert run("bundle", "--out", "b.tar.gz") == 1
    assert (site / "b.tar.gz").read_text() == "mine"


def test_a_backup_comes_back_as_it_was_for_its_owner_alone(site: Path):
    assert run("backup", "--out", "k.tar.gz") == 0
    assert (site / "k.tar.gz").stat().st_mode & 0o077 == 0

    assert run("restore", "k.tar.gz", "--to", "back") == 0

    for name in ("api_keys.yaml", "cameras.yaml"):
        assert (site / "back" / "config" / name).read_bytes() == (site / "config" / name).read_bytes()
    assert (site / "back" / "env").read_text() == (site / ".env").read_text()
    assert (site / "back" / "config" / "api_keys.yaml").stat().st_mode & 0o077 == 0
    assert run("restore", "k.tar.gz", "--to", "back") == 2  # it is there already


@pytest.mark.parametrize("name", ["../outside", "/etc/outside"])
def test_an_archive_that_would_write_elsewhere_is_refused(site: Path, name: str):
    backup.write({name: b"x"}, site / "evil.tar.gz")
    assert run("restore", "evil.tar.gz", "--to", "back") == 2
    assert not (site / "back").exists()
