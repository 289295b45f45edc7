"""The wheel alone, in an empty environment and a directory without the repository, runs everything."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from signalflow.local.process import wait_until
from tests.integration.test_local_stack import free_base, query

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PACKAGES = ("signalflow", "agents", "tables", "web", "migrations")
UV = Path(sys.executable).with_name("uv")
# What `make wheel` fetches before it builds.
CHARTS = ("uPlot.min.css", "LICENSE", "uPlot.iife.min.js")


def run(*command: object, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """The output of a command that must end with status 0."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packed: building leaves files beside it."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    vendor = copy / "web" / "dashboard" / "static" / "vendor"
    vendor.mkdir(exist_ok=True)
    for name in CHARTS:
        (vendor / name).touch()
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    # This Python has the build backend; without its name uv looks for an environment in the directory.
    here = ("--no-build-isolation", "--python", sys.executable)
    run(UV, "build", "--wheel", *here, "--out-dir", directory, source, cwd=directory)
    (built,) = directory.glob("*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel(source: Path, wheel: Path) -> None:
    files = {
        str(path.relative_to(source)) for name in PACKAGES for path in (source / name).rglob("*") if path.is_file()
    }
    assert len(files) > 100
    assert files - set(zipfile.ZipFile(wheel).namelist()) == set()


@pytest.fixture(scope="module")
def signalflow(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that has the wheel and what it depends on, in the versions of the lock."""
    directory = tmp_path_factory.mktemp("environment")
    run(UV, "venv", "--python", sys.executable, directory / "env", cwd=directory)
    environment = os.environ | {"VIRTUAL_ENV": str(directory / "env")}
    install = (UV, "pip", "install", "--constraint", ROOT / "requirements.lock", f"{wheel}[local]")
    try:
        run(*install, "--offline", cwd=directory, environment=environment)
    except AssertionError:
        # The tests' own environment came from elsewhere, so the packages are not in uv's cache.
        run(*install, cwd=directory, environment=environment)
    return directory / "env" / "bin" / "signalflow"


@pytest.fixture
def clean_environment(signalflow: Path) -> dict[str, str]:
    """An environment in which nothing leads to the repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALFLOW_", "PYTHON"))}
    return kept | {"PATH": f"{signalflow.parent}:{os.defpath}"}


@pytest.fixture
def directory(signalflow: Path, clean_environment: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """An empty directory, in which a stack is stopped at the end."""
    yield tmp_path
    run(signalflow, "down", cwd=tmp_path, environment=clean_environment)


def test_up_from_the_wheel_alone_finds_posts_and_serves_its_pages(
    signalflow: Path, clean_environment: dict[str, str], directory: Path
) -> None:
    base = free_base()
    told = run(signalflow, "up", "--detach", "--port-base", base, cwd=directory, environment=clean_environment)
    assert "signalflow is up" in told
    settings = json.loads((directory / ".signalflow" / "state.json").read_text())["settings"]
    assert wait_until(lambda: bool(query(settings["database_url"], "SELECT count(*) FROM posts")), 30)
    link = re.search(r"http://\S+/sign-in/link\?token=\S+", told)
    assert link, told
    api = f"http://{settings['api_host']}:{settings['api_port']}"
    with httpx.Client(follow_redirects=True, trust_env=False) as browser:
        assert browser.get(link.group()).status_code == 200
        page = browser.get(api)
        assert (page.status_code, "text/html" in page.headers["content-type"]) == (200, True)
        assert browser.get(f"{api}/api/posts/").json()["items"]
    run(signalflow, "verify", cwd=directory, environment=clean_environment)
    assert "stopped" in run(signalflow, "down", cwd=directory, environment=clean_environment)
