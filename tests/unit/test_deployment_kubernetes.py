"""The overlays as kubectl renders them: valid for Kubernetes, least privilege, probed, bounded."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deployment_files import DEPLOYMENT, ENDS_WITHIN_S, program
from vision_stream.config.environment import variables
from vision_stream.settings import ROLES, Settings

OVERLAYS = ("single-node", "cluster")
VERSIONS = ("1.30", "1.34")  # the oldest and newest that we speak for
CUSTOM = ("keda.sh/v1alpha1",)  # no schema of Kubernetes's own: shapes are tested below

Resource = dict[str, Any]


@functools.cache
def render(path: str) -> tuple[Resource, ...]:
    folder = DEPLOYMENT / "kubernetes" / path
    done = subprocess.run([program("kubectl"), "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"deprecated: {done.stderr}"
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> dict[str, Resource]:
    return {r["metadata"]["name"]: r for r in render(f"overlays/{overlay}") if r["kind"] in kinds}


def pod_specs(overlay: str) -> dict[str, Resource]:
    found = of_kind(overlay, "Deployment", "StatefulSet")
    return {name: resource["spec"]["template"]["spec"] for name, resource in found.items()}


def ours(overlay: str) -> dict[str, Resource]:
    return {name: spec for name, spec in pod_specs(overlay).items() if name not in ("kafka", "redis")}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_valid_for_kubernetes(overlay: str, version: str):
    for resource in render(f"overlays/{overlay}"):
        if resource["apiVersion"] not in CUSTOM:
            kubernetes_validate.validate(resource, version, strict=True)


def test_a_resource_that_is_wrong_would_be_noticed():
    (wrong,) = (r for r in render("overlays/cluster") if r["kind"] == "Namespace")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong | {"speck": {}}, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_a_worker_for_each_role_a_gateway_and_capture(overlay: str):
    found = ours(overlay)
    roles = [e["value"] for s in found.values() for e in s["containers"][0].get("env", ()) if "ROLES" in e["name"]]
    assert sorted(roles) == sorted(ROLES)
    assert "gateway" in found
    assert any(name.startswith("capture") for name in found)


def test_a_cluster_has_a_capture_for_each_group_of_cameras():
    found = of_kind("cluster", "Deployment")
    groups = [name for name in found if name.startswith("capture-")]
    assert groups == ["capture-north", "capture-south"]
    maps = [next(v for v in ours("cluster")[g]["volumes"] if v["name"] == "cameras") for g in groups]
    assert len({m["configMap"]["name"] for m in maps}) == 2


def test_the_pods_of_a_group_share_its_cameras_and_one_group_alone_has_those_of_the_api():
    found = {name: spec for name, spec in of_kind("cluster", "Deployment").items() if name.startswith("capture-")}
    containers = {name: each["spec"]["template"]["spec"]["containers"][0] for name, each in found.items()}
    labels = {name: each["spec"]["template"]["metadata"]["labels"] for name, each in found.items()}

    assert all(each["spec"]["replicas"] == 2 for each in found.values())
    assert all(each["command"][-2:] == ["--group", "$(CAMERA_GROUP)"] for each in containers.values())
    (names,) = {each["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] for each in containers.values()}
    assert names == "metadata.labels['vision-stream/cameras']"
    assert [each["vision-stream/cameras"] for each in labels.values()] == ["north", "south"]
    assert [each.get("args") for each in containers.values()] == [None, ["--no-api-cameras"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_pods_are_probed_for_life_and_readiness(overlay: str):
    for name, spec in ours(overlay).items():
        (container,) = spec["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz", name
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", name
        port = container["livenessProbe"]["httpGet"]["port"]
        assert port in {p["name"] for p in container["ports"]}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_is_given_longer_to_end_than_it_takes_at_most(overlay: str):
    given = {
        name: spec["terminationGracePeriodSeconds"]
        for name, spec in ours(overlay).items()
        if any("ROLES" in each["name"] for each in spec["containers"][0].get("env", ()))
    }
    assert len(given) == len(ROLES)
    assert all(seconds > ENDS_WITHIN_S + 8 for seconds in given.values()), given


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_no_more_rights_than_they_need(overlay: str):
    for name, spec in pod_specs(overlay).items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert name == "kafka" or rights["readOnlyRootFilesystem"] is True, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_pinned(overlay: str):
    for spec in pod_specs(overlay).values():
        assert all(re.search(r":\d+\.\d+\.\d+", container["image"]) for container in spec["containers"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_api_keys_reach_the_llm_scheduler_alone(overlay: str):
    holders = {name for name, spec in pod_specs(overlay).items() if "vision-stream-api-keys" in str(spec)}
    assert holders == {"llm-scheduler"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_rendered_and_the_wanted_ones_have_an_example(overlay: str):
    assert not of_kind(overlay, "Secret")
    example = yaml.safe_load_all((DEPLOYMENT / "kubernetes" / "secrets.example.yaml").read_text())
    known = {secret["metadata"]["name"]: secret["stringData"] for secret in example}
    for spec in pod_specs(overlay).values():
        for volume in (v["secret"] for v in spec["volumes"] if "secret" in v) if "volumes" in spec else ():
            assert {item["key"] for item in volume.get("items", ())} <= known[volume["secretName"]].keys()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_that_is_passed_exists(overlay: str):
    names = {name for resource in of_kind(overlay, "ConfigMap").values() for name in resource["data"]}
    names |= {entry["name"] for spec in ours(overlay).values() for entry in spec["containers"][0].get("env", ())}
    settings = {name.removesuffix("_FILE") for name in names if name.startswith("ALGO_")}
    assert settings
    assert settings <= variables().keys()


def test_copies_are_one_on_a_node_and_three_in_a_cluster():
    def copies(overlay: str) -> str:
        (found,) = (r for name, r in of_kind(overlay, "ConfigMap").items() if name.startswith("vision-stream-env"))
        return found["data"]["ALGO_KAFKA_REPLICATION_FACTOR"]

    assert (copies("single-node"), copies("cluster")) == ("1", "3")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_workload_of_ours_has_a_disruption_budget(overlay: str):
    budgets = [r["spec"]["selector"]["matchLabels"] for r in of_kind(overlay, "PodDisruptionBudget").values()]
    for name, resource in of_kind(overlay, "Deployment").items():
        labels = resource["spec"]["template"]["metadata"]["labels"]
        assert any(budget.items() <= labels.items() for budget in budgets), name


def allowed_ports(overlay: str, labels: dict[str, str], direction: str) -> set[Any]:
    """Ports that the policies open for a pod with these labels."""
    found = set()
    for policy in of_kind(overlay, "NetworkPolicy").values():
        if _selects(policy["spec"]["podSelector"], labels):
            found |= {p["port"] for rule in policy["spec"].get(direction, ()) for p in rule["ports"]}
    return found


def _selects(selector: Resource, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for term in selector.get("matchExpressions", ()):
        there = term["key"] in labels
        wanted &= there if term["operator"] == "Exists" else there and labels[term["key"]] in term["values"]
    return wanted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policies_deny_by_default_and_open_what_each_needs(overlay: str):
    assert of_kind(overlay, "NetworkPolicy")["default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    opened = {
        name: allowed_ports(overlay, resource["spec"]["template"]["metadata"]["labels"], "egress")
        for name, resource in of_kind(overlay, "Deployment").items()
    }
    for name, ports in opened.items():
        assert {53, 9092, 6379} <= ports, name
        assert (443 in ports) == (name == "llm-scheduler" or name.startswith("capture")), name
        assert (554 in ports) == name.startswith("capture"), name


@pytest.mark.parametrize("version", VERSIONS)
def test_the_process_for_mqtt_is_valid_alone_and_has_no_more_than_it_needs(version: str):
    """An overlay that wants it lists it; see the README."""
    found = {resource["kind"]: resource for resource in render("base/mqtt")}
    for resource in found.values():
        kubernetes_validate.validate(resource, version, strict=True)
    pod = found["Deployment"]["spec"]["template"]
    labels, (container,) = pod["metadata"]["labels"], pod["spec"]["containers"]
    assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}  # two would push each other from the broker
    assert container["command"] == ["vision-stream", "mqtt"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    own = {port["port"] for rule in found["NetworkPolicy"]["spec"]["egress"] for port in rule["ports"]}
    assert own == {1883, 8883}
    assert {53, 9092} <= allowed_ports("cluster", labels, "egress")
    assert 9090 in allowed_ports("cluster", labels, "ingress")
    settings = {variable["name"] for variable in container["env"]}
    assert settings <= set(variables())


# --- KEDA --------------------------------------------------------------------------------------------------------


def scaled() -> dict[str, Resource]:
    return {name: resource["spec"] for name, resource in of_kind("cluster", "ScaledObject").items()}


def test_scaled_objects_have_kedas_shape_and_name_deployments_that_leave_the_number_to_keda():
    known = {
        "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod",
        "fallback", "advanced", "triggers",
    }  # fmt: skip
    deployments = of_kind("cluster", "Deployment")
    for name, spec in scaled().items():
        assert spec.keys() <= known, name
        assert "replicas" not in deployments[spec["scaleTargetRef"]["name"]]["spec"], name
        for trigger in spec["triggers"]:
            assert trigger["type"] == "prometheus"
            assert trigger["metricType"] in ("Value", "AverageValue")
            assert trigger["metadata"].keys() == {"serverAddress", "query", "threshold"}
            assert all(isinstance(value, str) for value in trigger["metadata"].values()), "KEDA wants text"


@pytest.mark.parametrize("name", ["task-generator", "result-aggregator"])
def test_lag_seconds_add_workers_up_to_one_a_partition(name: str):
    spec = scaled()[name]
    partitions = Settings().kafka.topics.detection_results.partitions
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (1, partitions, 300)
    (trigger,) = spec["triggers"]
    assert "kafka_consumer_lag_seconds" in trigger["metadata"]["query"]


def test_the_llm_scheduler_follows_its_keys_and_not_the_lag():
    spec = scaled()["llm-scheduler"]
    assert spec["maxReplicaCount"] < Settings().kafka.topics.assessment_tasks.partitions
    assert all("lag" not in trigger["metadata"]["query"] for trigger in spec["triggers"])


def test_what_keda_asks_is_a_metric_that_we_have():
    from prometheus_client import REGISTRY

    from vision_stream import metrics

    assert metrics.in_flight
    names = {family.name for family in REGISTRY.collect()}
    for spec in scaled().values():
        for trigger in spec["triggers"]:
            (asked,) = re.findall(r"\((\w+)\{", trigger["metadata"]["query"])
            assert asked in names


# --- Prometheus in the cluster -----------------------------------------------------------------------------------


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_prometheus_finds_every_pod_by_its_labels_and_port(overlay: str):
    config = yaml.safe_load((DEPLOYMENT / "prometheus" / "kubernetes.yml").read_text())
    kept = {str(r["regex"]) for job in config["scrape_configs"] for r in job["relabel_configs"] if "action" in r}
    assert kept == {"metrics", "gateway", "http"}
    for name, resource in of_kind(overlay, "Deployment").items():
        labels = resource["spec"]["template"]["metadata"]["labels"]
        ports = {port["name"] for port in ours(overlay)[name]["containers"][0]["ports"]}
        assert labels["vision-stream/kind"] in ("worker", "capture", "gateway")
        assert ports == ({"http"} if name == "gateway" else {"metrics"})
