"""The jars of Apache Kafka: which they are, by version and SHA-256, and how they come onto this machine.

``kafka-jars.lock`` beside this module names each jar; they are fetched once from Maven Central into the user's cache
and checked before they are run. ``jgo`` resolves (``python -m vision_stream.kafka_jars lock``) and downloads.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from vision_stream.errors import ConfigError, DependencyError, VisionStreamError

KAFKA_VERSION = "4.3.1"
LOCK = Path(__file__).with_name("kafka-jars.lock")
AT_ONCE = 8  # downloads; more is not faster against Maven Central, fewer wait on round trips
TRIES = 3

Progress = Callable[[int, int], None]  # jars here, jars in all


class Jar(NamedTuple):
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked() -> tuple[Jar, ...]:
    """The jars of the lock file."""
    return tuple(_read(line) for line in LOCK.read_text().splitlines() if not line.startswith("#"))


def _read(line: str) -> Jar:
    """
    >>> _read("org.slf4j:slf4j-api:1.7.36 sha256:d3ef")
    Jar(group='org.slf4j', artifact='slf4j-api', version='1.7.36', sha256='d3ef')
    """
    coordinate, sha256 = line.split(" sha256:")
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def folder() -> Path:
    """Where the jars of this lock lie, or will: one folder a lock, so that an upgrade never mixes two."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "vision-stream" / f"kafka-{KAFKA_VERSION}-{digest}"


def class_path() -> str | None:
    """What ``java -cp`` wants, or None where the jars must be fetched first. Asks nobody."""
    return f"{folder()}{os.sep}*" if folder().is_dir() else None


def fetch(progress: Progress | None = None) -> str:
    """The class path, after a download of 45 MB where the jars are not here yet; blocks.

    Raises:
        DependencyError: Maven Central cannot be reached, or sent something else than the lock names.
    """
    target = folder()
    if not target.is_dir():
        _require_jgo()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="kafka-", dir=target.parent) as scratch:
            _download(locked(), Path(scratch), progress)
            _publish(Path(scratch) / "jars", target)
    return f"{target}{os.sep}*"


def _require_jgo() -> None:
    if importlib.util.find_spec("jgo") is None:
        raise ConfigError(
            "Kafka is fetched by the package jgo, and that is not installed",
            remedy="pip install 'vision-stream[demo]'",
        )


def _publish(made: Path, target: Path) -> None:
    try:
        made.rename(target)  # all or nothing: a folder under its own name is complete
    except OSError:
        if not target.is_dir():  # else another process was quicker
            raise


def _download(jars: Iterable[Jar], scratch: Path, progress: Progress | None) -> None:
    jars = tuple(jars)
    (scratch / "jars").mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            running = [pool.submit(_download_one, jar, scratch) for jar in jars]
            for here, done in enumerate(as_completed(running), start=1):
                done.result()
                if progress:
                    progress(here, len(jars))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _download_one(jar: Jar, scratch: Path) -> None:
    from jgo.maven import MavenContext

    maven = MavenContext(repo_cache=scratch / "maven", local_repos=[], timeout=30)
    artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact(packaging="jar")
    for attempt in range(1, TRIES + 1):
        try:
            path = artifact.resolve()
            break
        except Exception as error:  # jgo raises RuntimeError, requests' and urllib3's errors
            shutil.rmtree(scratch / "maven" / jar.group.replace(".", "/") / jar.artifact, ignore_errors=True)
            if attempt == TRIES:
                raise DependencyError(
                    f"Failed to download {jar.filename} of Kafka: {error}",
                    remedy="check the connection to https://repo.maven.apache.org, then start again",
                ) from error
            time.sleep(attempt)
    if _sha256(path) != jar.sha256:
        raise DependencyError(
            f"{jar.filename} is not the file that {LOCK.name} names: its SHA-256 differs",
            remedy="something between here and Maven Central changes files; do not run what it sends",
        )
    path.rename(scratch / "jars" / jar.filename)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resolve() -> tuple[Jar, ...]:
    """Ask Maven Central what KAFKA_VERSION needs, download it and give the lock's lines."""
    import jgo
    from jgo.maven import MavenContext

    artifacts = jgo.resolve(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}")
    coordinates = {(a.groupId, a.artifactId, a.version) for a in artifacts}
    # Kafka's own start scripts add the bridge from slf4j to log4j. Resolved together with Kafka, its bill of
    # materials would win and bring kafka-clients 3.9.
    log4j = next(version for _, artifact, version in coordinates if artifact == "log4j-core")
    coordinates.add(("org.apache.logging.log4j", "log4j-slf4j-impl", log4j))
    with tempfile.TemporaryDirectory() as scratch:
        maven = MavenContext(repo_cache=Path(scratch), local_repos=[], timeout=30)
        return tuple(
            Jar(g, a, v, _sha256(maven.project(g, a).at_version(v).artifact(packaging="jar").resolve()))
            for g, a, v in sorted(coordinates)
        )


def write_lock(jars: Iterable[Jar]) -> None:
    """Replace the lock file."""
    head = f"# Apache Kafka {KAFKA_VERSION}: made by `python3 scripts/dev.py lock`\n"
    LOCK.write_text(head + "".join(f"{j.group}:{j.artifact}:{j.version} sha256:{j.sha256}\n" for j in jars))


def main(argv: list[str]) -> None:
    """``fetch``: bring the jars, saying so; ``lock``: write the lock anew."""
    if argv == ["lock"]:
        write_lock(resolve())
    elif argv == ["fetch"]:
        fetch(lambda here, total: print(f"\r  Kafka {KAFKA_VERSION}: {here}/{total} files", end="", flush=True))
        print()
    else:
        raise SystemExit("usage: python -m vision_stream.kafka_jars fetch|lock")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except VisionStreamError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
