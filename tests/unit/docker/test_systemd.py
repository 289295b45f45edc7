"""Units of systemd: systemd accepts them, and they name settings and commands that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from signalflow.application import STOP_SECONDS
from signalflow.settings import Settings
from tests.unit.docker.compose import DOCKER
from web.server import GRACE_SECONDS

UNITS = sorted((DOCKER / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PROGRAMS = "/opt/signalflow/bin/"


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"(?m)^{name}=(.*)$", unit.read_text())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_mistake_in_them(tmp_path: Path) -> None:
    """The programs are not installed here, so copies of the units name another one, and no account of ours exists."""
    (tmp_path / "program").symlink_to("/bin/true")
    for unit in UNITS:
        text = re.sub(rf"{PROGRAMS}\w+", str(tmp_path / "program"), unit.read_text())
        (tmp_path / unit.name).write_text(re.sub(r"(?m)^(User|Group)=signalflow$", r"\1=root", text))
    instances = [tmp_path / unit.name.replace("@.", "@8000.") for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *instances], capture_output=True, text=True
    )
    assert [line for line in done.stderr.splitlines() if "signalflow" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_no_root_and_can_write_its_state_alone(unit: Path) -> None:
    assert values(unit, "User") == values(unit, "Group") == ["signalflow"]
    assert values(unit, "ProtectSystem") == ["strict"]
    assert values(unit, "NoNewPrivileges") == ["yes"]
    assert values(unit, "CapabilityBoundingSet") == [""]
    assert values(unit, "ReadWritePaths") == []
    (state,) = values(unit, "StateDirectory")
    (environment,) = values(unit, "Environment")
    assert f"SIGNALFLOW_STATE_DIR=/var/lib/{state}" in environment
    for variable in re.findall(r"SIGNALFLOW_(\w+)", unit.read_text()):
        assert variable.lower() in Settings.model_fields
    # Passwords are in a file that is not part of the project.
    assert values(unit, "EnvironmentFile") == ["/etc/signalflow/environment"]


def test_an_orderly_stop_has_the_time_that_it_takes() -> None:
    stops = {unit.name: float(values(unit, "TimeoutStopSec")[0]) for unit in SERVICES if "@" in unit.name}
    assert stops.keys() == {"signalflow-worker@.service", "signalflow-api@.service"}
    assert stops["signalflow-worker@.service"] >= STOP_SECONDS + 5
    assert stops["signalflow-api@.service"] >= GRACE_SECONDS + 5
    assert all(values(unit, "Restart") == ["always"] for unit in SERVICES if "@" in unit.name)


def test_they_start_what_the_compose_file_starts_in_the_same_order() -> None:
    commands = {unit.name: [one.removeprefix(PROGRAMS) for one in values(unit, "ExecStart")] for unit in SERVICES}
    assert commands == {
        "signalflow-api@.service": ["signalflow api"],
        "signalflow-migrate.service": ["signalflow migrate", "signalflow topics create", "signalflow config load"],
        "signalflow-worker@.service": ["faust --loop uvloop -A signalflow worker -l warn"],
    }
    for unit in SERVICES:
        assert values(unit, "PartOf") == values(unit, "WantedBy") == ["signalflow.target"]
        if "@" in unit.name:
            assert values(unit, "Requires") == ["signalflow-migrate.service"]
            assert "signalflow-migrate.service" in values(unit, "After")[0]
