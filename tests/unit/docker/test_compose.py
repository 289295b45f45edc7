"""docker/compose.yaml: what it starts, what it gives, and what it keeps to itself."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from signalflow.application import STOP_SECONDS
from signalflow.settings import Settings, unknown_variables, unused_variables
from tests.unit.docker.compose import COMPOSE, DOCKER, ROOT, Missing, made_env, rendered, settings_of
from web.auth.tokens import weakness
from web.server import GRACE_SECONDS

ENV = made_env()
FILE = rendered(ENV)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("signalflow:")]
ONE_SHOT = {"migrate", "topics"}
BROKERS = ["kafka-1", "kafka-2", "kafka-3"]

each = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[name].get("environment", {})
    return found


def test_it_starts_what_the_documents_promise() -> None:
    by_profile: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for profile in service["profiles"]:
            by_profile.setdefault(profile, set()).add(name)
    core = {*BROKERS, "primary", "standby", "valkey", "migrate", "topics", "worker", "api", "proxy"}
    assert by_profile == {
        "core": core,
        # `--profile demo` starts this profile alone, whatever COMPOSE_PROFILES says.
        "demo": {*core, "simulator"},
        "observability": {"prometheus", "grafana", "kafka-exporter", "postgres-exporter"},
    }
    assert set(OURS) == {"migrate", "topics", "worker", "api", "simulator"}
    assert set(ENV["COMPOSE_PROFILES"].split(",")) == by_profile.keys()


@each
def test_an_image_has_the_number_of_a_whole_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?", image)
    assert re.fullmatch(r"v?\d+\.\d+\.\d+(-(pg\d+|alpine))?", tag)


@each
def test_a_service_has_limits_a_restart_policy_and_bounded_logs(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "container_name"} & service.keys()


@each
def test_a_service_that_runs_has_a_healthcheck(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if name in ONE_SHOT:
        assert check == {"disable": True}
    else:
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert seconds(check["timeout"]) < seconds(check["interval"]) <= 20


def test_only_api_and_grafana_are_published_on_loopback_and_without_a_clash_when_scaled() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy": ["127.0.0.1:8000:8000"], "grafana": ["127.0.0.1:3000:3000"]}
    assert all("replicas" not in SERVICES[name]["deploy"] for name in published)


def test_what_holds_data_reaches_nothing_outside() -> None:
    def networks(name: str) -> set[str]:
        return set(SERVICES[name]["networks"])

    assert {name for name, network in FILE["networks"].items() if network.get("internal")} == {"backend", "front"}
    outside = {name for name in SERVICES if networks(name) & {"edge", "outside"}}
    assert outside == {"proxy", "grafana", "worker", "api"}
    # The API listens to nobody but the proxy, Prometheus and other services. Outside it sends test alerts alone.
    assert networks("api") == {"backend", "front", "outside"}
    assert networks("proxy") == {"front", "edge"}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))))
def test_a_password_that_is_missing_stops_the_start(name: str) -> None:
    for given in (ENV | {name: ""}, {key: value for key, value in ENV.items() if key != name}):
        with pytest.raises(Missing, match=f"{name}: run make env"):
            rendered(given)


def test_no_password_stands_in_a_file_and_each_has_no_default() -> None:
    text = COMPOSE.read_text()
    for name in re.findall(r"\$\{(\w+):-[^}]", text):
        assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", name), f"{name} has a default"
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASS|SECRET|TOKEN", name) and value:
                assert value in ENV.values(), f"{name} is not one of `make env`"
            if password := urlsplit(value).password:
                assert password in ENV.values(), f"{name} has a password of its own"
    for path in [*DOCKER.rglob("*"), ROOT / "Makefile"]:
        if path.is_file() and path.name != ".env":
            assert not any(secret in path.read_text() for secret in ENV.values() if len(secret) == 48)


def test_each_service_gets_only_the_passwords_that_it_uses() -> None:
    secrets = {value: name for name, value in ENV.items() if re.search(r"PASSWORD|SECRET|TOKEN", name)}
    # The simulator's secret has two names.
    secrets[ENV["SIMULATOR_SECRET"]] = "SIMULATOR_SECRET"
    found = {
        name: {
            secrets[secret] for secret in secrets if any(secret in str(value) for value in environment(name).values())
        }
        for name in SERVICES
    }
    assert {name: known for name, known in found.items() if known} == {
        "primary": {
            "DATABASE_SUPERUSER_PASSWORD", "DATABASE_PASSWORD", "DATABASE_READER_PASSWORD",
            "DATABASE_REPLICATION_PASSWORD", "DATABASE_EXPORTER_PASSWORD",
        },
        "standby": {"DATABASE_REPLICATION_PASSWORD"},
        "valkey": {"VALKEY_PASSWORD"},
        "migrate": {"DATABASE_PASSWORD"},
        "topics": {"DATABASE_PASSWORD"},
        "worker": {"DATABASE_PASSWORD", "SIMULATOR_SECRET", "WORKER_TOKEN"},
        "api": {"DATABASE_PASSWORD", "DATABASE_READER_PASSWORD", "VALKEY_PASSWORD", "WORKER_TOKEN", "API_SECRET"},
        "simulator": {"SIMULATOR_SECRET"},
        "prometheus": {"WORKER_TOKEN"},
        "grafana": {"GRAFANA_PASSWORD"},
        "postgres-exporter": {"DATABASE_EXPORTER_PASSWORD"},
    }  # fmt: skip


@each
def test_what_is_mounted_exists_and_cannot_be_written(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (DOCKER / source).is_file(), source
            assert rest.endswith(":ro")
        elif rest:
            assert source in FILE["volumes"]


def test_every_volume_and_network_is_used() -> None:
    volumes = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert FILE["volumes"].keys() <= volumes
    assert FILE["networks"].keys() == {network for service in SERVICES.values() for network in service["networks"]}


@each
def test_what_a_service_waits_for_exists_in_its_profiles_and_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert set(SERVICES[name]["profiles"]) <= set(SERVICES[other]["profiles"])
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how == {"condition": expected}


@each_of_ours
def test_a_program_gets_settings_that_exist_fit_each_other_and_have_an_effect(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings_of(SERVICES[name])
    if name == "worker":
        # docker/worker.sh adds them.
        given |= {"SIGNALFLOW_WORKER_NAME": "0a1b2c3d4e5f", "SIGNALFLOW_WORKER_WEB_HOST": "0a1b2c3d4e5f"}
    assert unknown_variables(given) == {}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert unused_variables(given, settings) == {}
    if "SIGNALFLOW_KAFKA" in given:
        assert (settings.topic_replication, settings.min_insync_replicas) == (3, 2)
    if name == "api":
        assert weakness(settings.api_secret.get_secret_value()) is None


@pytest.mark.parametrize(
    "chosen",
    [
        {"REDDIT_BASE_URL": "", "REDDIT_CLIENT_ID": "id", "REDDIT_CLIENT_SECRET": "of-reddit"},
        {
            "REDDIT_BASE_URL": "", "REDDIT_CLIENT_ID": "", "REDDIT_CLIENT_SECRET": "",
            "REDDIT_SOURCE": "feeds", "REDDIT_CONTACT": "me@example.org",
        },
    ],
    ids=["api", "feeds"],
)  # fmt: skip
def test_workers_can_poll_the_real_reddit(chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in settings_of(rendered(ENV | chosen)["services"]["worker"]).items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.reddit_source == chosen.get("REDDIT_SOURCE", "")
    assert settings.reddit_base_url == ""


def test_workers_and_api_take_the_settings_of_alerts_from_a_file_that_may_be_missing() -> None:
    with_file = {name: service["env_file"] for name, service in SERVICES.items() if "env_file" in service}
    assert with_file == {name: [{"path": "alerts.env", "required": False}] for name in ("worker", "api")}


@each_of_ours
def test_a_program_runs_without_privileges_on_a_root_that_it_cannot_write(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["init"] is True
    assert "user" not in service  # The image's, which is not root.


def test_an_orderly_stop_has_the_time_that_it_takes() -> None:
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= STOP_SECONDS + 5
    assert seconds(SERVICES["api"]["stop_grace_period"]) >= GRACE_SECONDS + 5
    assert all(seconds(SERVICES[name]["stop_grace_period"]) >= 30 for name in (*BROKERS, "primary", "standby"))


def test_the_addresses_that_services_name_are_services() -> None:
    named = {
        match
        for service in SERVICES.values()
        for value in service.get("environment", {}).values()
        for match in re.findall(r"(?:^|[@/,])([a-z][a-z0-9-]*):\d{2,5}(?=[,/]|$)", value)
    }
    assert named == {*BROKERS, "primary", "standby", "valkey", "simulator"}
    voters = environment("kafka-1")["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
    assert voters == [f"{environment(broker)['KAFKA_NODE_ID']}@{broker}:9093" for broker in BROKERS]


def test_brokers_keep_three_copies_and_differ_in_name_and_volume_alone() -> None:
    expected = {
        "KAFKA_DEFAULT_REPLICATION_FACTOR": "3",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "3",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "3",
        "KAFKA_MIN_INSYNC_REPLICAS": "2",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "2",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    for number, broker in enumerate(BROKERS, 1):
        assert expected.items() <= environment(broker).items()
        assert environment(broker)["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{broker}:9092"
        assert environment(broker)["KAFKA_NODE_ID"] == str(number)
        data = environment(broker)["KAFKA_LOG_DIRS"]
        assert SERVICES[broker]["volumes"] == [f"{broker}:{data}"]


def test_prometheus_finds_what_runs_by_its_name() -> None:
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    found = {name: (*job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"]) for name, job in jobs.items()
             if "dns_sd_configs" in job}  # fmt: skip
    assert found == {"worker": ("worker", 6066), "api": ("api", 8000)}
    written = set(re.findall(r"> (/tmp/[\w-]+)", SERVICES["prometheus"]["command"][0]))
    assert written == {jobs[name]["authorization"]["credentials_file"] for name in found}
    targets = [target for job in jobs.values() for one in job.get("static_configs", ()) for target in one["targets"]]
    assert {target.partition(":")[0] for target in targets} <= {*SERVICES, "localhost"}
    assert all(set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"]) for name in ("worker", "api"))


def test_workers_and_apis_let_prometheus_in_with_what_make_env_writes() -> None:
    prometheus = SERVICES["prometheus"]
    written = dict(re.findall(r'printf %s "\$(\w+)" > (/tmp/[\w-]+)', prometheus["command"][0]))
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    sent = {
        job["job_name"]: prometheus["environment"][name]
        for job in config["scrape_configs"] if "authorization" in job
        for name, file in written.items() if file == job["authorization"]["credentials_file"]
    }  # fmt: skip
    assert sent == {name: environment(name)["SIGNALFLOW_WORKER_TOKEN"] for name in ("worker", "api")}
    assert set(sent.values()) == {ENV["WORKER_TOKEN"]}


def test_the_proxy_knows_every_api_and_the_api_trusts_this_proxy_alone() -> None:
    config = (DOCKER / "haproxy.cfg").read_text()
    (count,) = re.findall(r"server-template api (\d+) api:8000", config)
    assert int(count) >= SERVICES["api"]["deploy"]["replicas"] == 2
    address = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
    assert environment("api")["SIGNALFLOW_API_TRUSTED_PROXIES"] == address
    port = SERVICES["proxy"]["ports"][0].rpartition(":")[2]
    assert f"bind :{port}\n" in config


@pytest.mark.parametrize(
    "path", sorted(DOCKER.rglob("*.yaml")) + sorted(DOCKER.rglob("*.yml")), ids=lambda path: path.name
)
def test_the_files_are_yaml_that_says_nothing_twice(path: Path) -> None:
    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = [key.value for key, _ in node.value if key.value != "<<"]
            assert len(names) == len(set(names)), f"{path.name}: a name stands twice in one mapping: {names}"
            return super().construct_mapping(node, deep)

    for document in yaml.load_all(path.read_text(), Strict):
        assert document
