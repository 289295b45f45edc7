"""The manifests for Kubernetes: what a cluster would refuse, and what would not do what the documents say."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import kubernetes_validate
import pytest
import yaml

from signalflow.application import STOP_SECONDS
from signalflow.settings import Settings, unknown_variables
from tests.api_clients import test_secret
from tests.unit.docker.compose import DOCKER, ROOT, made_env, rendered
from web.server import GRACE_SECONDS

FILES = sorted((DOCKER / "kubernetes").glob("*.yaml"))
OBJECTS: list[dict[str, Any]] = [one for file in FILES for one in yaml.safe_load_all(file.read_text())]
VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "PodDisruptionBudget": "policy/v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
# The oldest version of Kubernetes that the document names, and the newest whose schemas are at hand.
KUBERNETES = ("1.27.0", kubernetes_validate.latest_version())
REFUSALS = (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError)
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
# What docs/kubernetes.md puts into the secrets.
SECRETS = {
    "signalflow-migrate": {"SIGNALFLOW_DATABASE_URL": "postgresql://u:p@h/d"},
    "signalflow-worker": {
        "SIGNALFLOW_DATABASE_URL": "postgresql://u:p@h/d",
        "SIGNALFLOW_WORKER_TOKEN": "t" * 48,
        "SIGNALFLOW_REDDIT_CLIENT_ID": "id",
        "SIGNALFLOW_REDDIT_CLIENT_SECRET": "of-reddit",
    },
    "signalflow-api": {
        "SIGNALFLOW_DATABASE_URL": "postgresql://u:p@h/d",
        "SIGNALFLOW_WORKER_TOKEN": "t" * 48,
        "SIGNALFLOW_API_SECRET": test_secret,
    },
}


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [one for one in OBJECTS if one["kind"] in kinds]


POD_OWNERS = of_kind("Deployment", "StatefulSet", "Job")
each_with_pods = pytest.mark.parametrize("owner", POD_OWNERS, ids=lambda one: one["metadata"]["name"])


def pod(owner: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = owner["spec"]["template"]["spec"]
    return found


def container(owner: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(owner)["containers"]
    return dict(found)


def secrets_named(owner: dict[str, Any]) -> Iterator[str]:
    return (one["secretRef"]["name"] for one in container(owner)["envFrom"] if "secretRef" in one)


def test_each_object_has_the_version_of_its_kind_and_a_name_of_its_own() -> None:
    assert {one["kind"]: one["apiVersion"] for one in OBJECTS} == VERSIONS
    names = [(one["kind"], one["metadata"]["name"]) for one in OBJECTS]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) for _, name in names)
    assert not of_kind("Secret"), "secrets are made by hand, so that none is in a file"


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_a_cluster_knows_every_field_and_misses_none(one: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize(
    ("kind", "fault", "named"),
    [
        ("StatefulSet", lambda one: pod(one).update(terminationGracePeriodSecond=30), "terminationGracePeriodSecond"),
        ("Deployment", lambda one: one["spec"].update(replicas="2"), "'2' is not of type"),
        ("Deployment", lambda one: one["spec"].pop("selector"), "'selector' is a required property"),
        ("Service", lambda one: one["spec"]["ports"][0].pop("port"), "'port' is a required property"),
        ("StatefulSet", lambda one: pod(one)["containers"][0]["env"].append({}), "'name' is a required property"),
        ("PodDisruptionBudget", lambda one: one.update(apiVersion="policy/v1beta1"), "^$"),
    ],
    ids=["misspelt", "of another type", "lacks a selector", "lacks a port", "lacks a name", "of an old version"],
)  # fmt: skip
def test_a_fault_of_a_manifest_is_found(kind: str, fault: Callable[[dict[str, Any]], object], named: str) -> None:
    broken = deepcopy(of_kind(kind)[0])
    fault(broken)
    with pytest.raises(REFUSALS, match=named):
        kubernetes_validate.validate(broken, KUBERNETES[-1], strict=True)


def test_services_and_budgets_select_the_pods_of_their_own() -> None:
    for one in POD_OWNERS:
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert labels == one["metadata"]["labels"]
        if one["kind"] != "Job":
            assert one["spec"]["selector"]["matchLabels"] == labels
            name = one["metadata"]["name"]
            (service,) = [service for service in of_kind("Service") if service["metadata"]["name"] == name]
            assert service["spec"]["selector"] == labels
            names = {port["name"] for port in container(one)["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
            (budget,) = [b for b in of_kind("PodDisruptionBudget") if b["metadata"]["name"] == name]
            assert budget["spec"]["selector"]["matchLabels"] == labels
            assert budget["spec"]["maxUnavailable"] < one["spec"]["replicas"]


@each_with_pods
def test_a_pod_runs_the_image_of_the_compose_file_without_privileges(owner: dict[str, Any]) -> None:
    one = container(owner)
    assert one["image"] == rendered(made_env())["services"]["worker"]["image"]
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    context = pod(owner)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in (DOCKER / "Dockerfile").read_text()
    assert pod(owner)["automountServiceAccountToken"] is False
    assert one["resources"]["limits"].keys() == {"memory"}
    assert one["resources"]["requests"].keys() == {"cpu", "memory"}
    # `command` would replace an entry point; the image has none, so `args` is the whole command.
    assert "ENTRYPOINT" not in (DOCKER / "Dockerfile").read_text()


@each_with_pods
def test_each_volume_exists_and_is_mounted_where_the_program_writes(owner: dict[str, Any]) -> None:
    claims = [one["metadata"]["name"] for one in owner["spec"].get("volumeClaimTemplates", ())]
    volumes = [one["name"] for one in pod(owner)["volumes"]] + claims
    mounts = {one["name"]: one["mountPath"] for one in container(owner)["volumeMounts"]}
    assert sorted(mounts) == sorted(volumes)
    assert mounts["tmp"] == "/tmp"
    if owner["kind"] == "StatefulSet":
        assert claims == ["state"]
        assert f"SIGNALFLOW_STATE_DIR={mounts['state']}\n" in (DOCKER / "Dockerfile").read_text()
        # The account of the program can write the volume.
        assert pod(owner)["securityContext"]["fsGroup"] == pod(owner)["securityContext"]["runAsGroup"]


@each_with_pods
def test_a_pod_gets_settings_that_exist_and_fit_each_other(
    owner: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = of_kind("ConfigMap")
    (secret,) = secrets_named(owner)
    assert {"configMapRef": {"name": config["metadata"]["name"]}} in container(owner)["envFrom"]
    fields = {"metadata.name": "signalflow-worker-0", "status.podIP": "10.1.2.3"}
    own = {
        one["name"]: one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        for one in container(owner).get("env", ())
    }
    given = config["data"] | SECRETS[secret] | own
    assert unknown_variables(given) == {}
    for name, value in given.items():
        assert isinstance(value, str), f"{name} is no text"
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.topic_replication, settings.min_insync_replicas) == (3, 2)
    if owner["kind"] == "StatefulSet":
        assert (settings.worker_name, settings.worker_web_host) == ("signalflow-worker-0", "10.1.2.3")


def test_the_document_names_the_oldest_version_that_is_checked() -> None:
    oldest = KUBERNETES[0].removesuffix(".0")
    assert f"Kubernetes must be {oldest} or newer" in (ROOT / "docs" / "kubernetes.md").read_text()


def test_the_document_makes_the_secrets_that_the_pods_read() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text().replace("\\\n", " ")
    made = {
        name: set(re.findall(r"--from-literal=(\w+)=", rest))
        for name, rest in re.findall(r"kubectl create secret generic (\S+)(.*)", text)
    }
    assert made == {name: set(values) for name, values in SECRETS.items()}
    assert {secret for owner in POD_OWNERS for secret in secrets_named(owner)} == made.keys()


def test_probes_ask_what_answers_without_a_token() -> None:
    asked = {
        owner["metadata"]["name"]: [container(owner)[probe]["httpGet"]["path"] for probe in PROBES]
        for owner in of_kind("Deployment", "StatefulSet")
    }
    assert asked == {
        "signalflow-worker": ["/live", "/live", "/ready"],
        "signalflow-api": ["/health", "/health", "/ready"],
    }
    for owner in of_kind("Deployment", "StatefulSet"):
        ports = {port["name"] for port in container(owner)["ports"]}
        assert all(container(owner)[probe]["httpGet"]["port"] in ports for probe in PROBES)
        assert all(container(owner)[probe]["timeoutSeconds"] <= 5 for probe in PROBES)


def test_an_orderly_stop_has_the_time_that_it_takes() -> None:
    seconds = {
        owner["metadata"]["name"]: pod(owner)["terminationGracePeriodSeconds"]
        for owner in of_kind("Deployment", "StatefulSet")
    }
    (api,) = of_kind("Deployment")
    before = int(container(api)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert seconds["signalflow-worker"] >= STOP_SECONDS + 5
    assert seconds["signalflow-api"] >= before + GRACE_SECONDS + 5
