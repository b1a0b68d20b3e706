from __future__ import annotations

from pathlib import Path

import pytest

from vision_stream import kafka_jars
from vision_stream.errors import DependencyError
from vision_stream.kafka_config import Node, server_properties
from vision_stream.kafka_jars import KAFKA_VERSION, Jar, locked

ONE = Jar("org.example", "thing", "1", "0" * 64)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "locked", lambda: (ONE,))
    return tmp_path


def test_all_parts_of_kafka_are_locked_at_its_own_version():
    parts = [jar for jar in locked() if jar.group == "org.apache.kafka"]
    assert {jar.version for jar in parts} == {KAFKA_VERSION}
    assert {"kafka_2.13", "kafka-clients"} <= {jar.artifact for jar in parts}
    assert all(len(jar.sha256) == 64 for jar in locked())


def test_the_logging_bridge_fits_its_log4j():
    versions = {jar.artifact: jar.version for jar in locked()}
    assert versions["log4j-slf4j-impl"] == versions["log4j-core"]


def test_jars_are_fetched_once(cache: Path, monkeypatch: pytest.MonkeyPatch):
    downloads = []

    def download(jar: Jar, scratch: Path) -> None:
        downloads.append(jar)
        (scratch / "jars" / jar.filename).touch()

    monkeypatch.setattr(kafka_jars, "_download_one", download)
    seen: list[tuple[int, int]] = []
    assert kafka_jars.class_path() is None

    first = kafka_jars.fetch(lambda here, total: seen.append((here, total)))
    second = kafka_jars.fetch()

    assert first == second == kafka_jars.class_path()
    assert (downloads, seen) == ([ONE], [(1, 1)])
    assert [path.name for path in kafka_jars.folder().iterdir()] == ["thing-1.jar"]


def test_a_download_that_fails_leaves_no_half_folder(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def download(jar: Jar, scratch: Path) -> None:
        raise DependencyError("no network")

    monkeypatch.setattr(kafka_jars, "_download_one", download)
    with pytest.raises(DependencyError, match="no network"):
        kafka_jars.fetch()

    assert kafka_jars.class_path() is None
    assert list(kafka_jars.folder().parent.iterdir()) == []


def test_a_file_that_is_not_the_locked_one_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch):
    from jgo.maven import Artifact

    other = cache / "other.jar"
    other.write_bytes(b"something else")
    monkeypatch.setattr(Artifact, "resolve", lambda self: other)

    with pytest.raises(DependencyError, match=r"thing-1\.jar is not the file .* its SHA-256 differs"):
        kafka_jars.fetch()
    assert kafka_jars.class_path() is None


def test_three_nodes_keep_three_copies_and_want_two():
    cluster = [Node(n, 9091 + n, 9191 + n) for n in (1, 2, 3)]
    properties = dict(line.split("=", 1) for line in server_properties(cluster[1], cluster, "/data").splitlines())
    assert properties["node.id"] == "2"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:9192,2@127.0.0.1:9193,3@127.0.0.1:9194"
    assert (properties["offsets.topic.replication.factor"], properties["min.insync.replicas"]) == ("3", "2")


def test_one_node_makes_no_topic_by_itself_and_waits_for_no_group():
    node = Node(1, 9092, 9093)
    properties = server_properties(node, [node], "/data")
    assert "auto.create.topics.enable=false\n" in properties
    assert "group.initial.rebalance.delay.ms=0\n" in properties
    assert "offsets.topic.replication.factor=1\n" in properties
