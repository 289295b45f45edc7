"""The image: what docker/Dockerfile puts into it, by the rules of a linter of Dockerfiles, and what stays out.

Docker is not needed, and the image is not built here.
"""

import fnmatch
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from signalflow.settings import Settings
from tests.unit.docker.compose import DOCKER, ROOT

TEXT = (DOCKER / "Dockerfile").read_text()


@dataclass(frozen=True)
class Line:
    """An instruction and its arguments, with continuation lines joined."""

    what: str
    rest: str


def instructions(text: str) -> list[Line]:
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text))
    return [Line(*re.split(r"\s+", line.strip(), maxsplit=1)) for line in joined.splitlines() if line.strip()]


def stages(text: str) -> list[list[Line]]:
    """The instructions by stage; what stands before the first FROM is left out."""
    found: list[list[Line]] = []
    for line in instructions(text):
        if line.what == "FROM":
            found.append([])
        if found:
            found[-1].append(line)
    return found


BUILD, LAST = stages(TEXT)


def values(stage: list[Line], what: str) -> list[str]:
    return [line.rest for line in stage if line.what == what]


def test_both_stages_begin_with_the_same_whole_version_of_slim_debian() -> None:
    (version,) = re.findall(r"(?m)^ARG PYTHON=(\S+)$", TEXT)
    assert re.fullmatch(r"3\.\d+\.\d+-slim-[a-z]+", version)
    assert values(BUILD, "FROM") == ["python:${PYTHON} AS build"]
    assert values(LAST, "FROM") == ["python:${PYTHON}"]


def test_it_does_not_run_as_root() -> None:
    (user,) = values(LAST, "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    # What comes after would be done by this user.
    position = [line.what for line in LAST].index("USER")
    assert not {"RUN", "COPY", "ADD"} & {line.what for line in LAST[position:]}


def test_the_last_stage_installs_nothing_and_has_no_tools() -> None:
    (run,) = values(LAST, "RUN")
    assert "pip uninstall" in run
    assert not re.search(r"\binstall -|apt-get|pip install|\buv\b|curl|wget", run.replace("install --directory", ""))
    assert values(LAST, "COPY")[0] == "--from=build /opt/signalflow /opt/signalflow"


def test_every_package_is_checked_against_a_hash() -> None:
    installs = re.findall(r"(?:pip install|pip wheel|uv pip install)[^&]*", " ".join(values(BUILD, "RUN")))
    assert len(installs) == 4
    for install in installs:
        # What is installed without hashes is our own wheel, and nothing else with it.
        is_ours = "--no-deps" in install and re.search(r" (\.|wheels/\*\.whl)\s*$", install)
        assert is_ours or "--require-hashes" in install
    assert not re.search(r"https?://(?!localhost)|--index|--extra-index|--find-links|--trusted-host", TEXT)


def linted(text: str) -> list[str]:
    """What hadolint says of a Dockerfile, with the scripts in it: the rules that it breaks."""
    hadolint = [Path(sys.executable).with_name("hadolint"), "--format", "json", "--disable-ignore-pragma", "--no-fail"]
    done = subprocess.run([*hadolint, "-"], input=text, capture_output=True, text=True, check=True)
    return [found["code"] for found in json.loads(done.stdout)]


def test_the_rules_of_a_linter_hold() -> None:
    assert linted(TEXT) == []
    # What it has no rule for: a program gets the signals itself, and the last word is the command's.
    (check,) = values(LAST, "HEALTHCHECK")
    assert re.search(r'CMD \["[^"]+"(, "[^"]+")*\]$', check)
    assert not {"ONBUILD", "SHELL", "ENTRYPOINT"} & {line.what for line in instructions(TEXT)}


@pytest.mark.parametrize(
    ("right", "wrong", "rules"),
    [
        ('CMD ["signalflow", "api"]', "CMD signalflow api", ["DL3025"]),
        ("USER 10001:10001", "USER root", ["DL3002", "DL3066"]),
        ("COPY agents agents", "ADD agents agents", ["DL3020"]),
        ("WORKDIR /src", "WORKDIR src", ["DL3000"]),
        ("RUN python scripts/fetch_npm.py charts", "RUN cd /src && python scripts/fetch_npm.py charts", ["DL3003"]),
        ("pip install --no-cache-dir", "pip install", ["DL3042"]),
        ("ARG REVISION=unknown", "RUN name=$(date) && rm $name", ["SC2086"]),
        ("ARG REVISION=unknown", "RUN apt-get update && apt-get install -y curl", ["DL3008", "DL3009", "DL3015"]),
    ],
)
def test_a_fault_of_the_dockerfile_is_found(right: str, wrong: str, rules: list[str]) -> None:
    assert right in TEXT
    assert sorted(linted(TEXT.replace(right, wrong, 1))) == sorted(rules)


def test_the_labels_name_version_and_licence() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', " ".join(values(LAST, "LABEL"))))
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{labels["version"]}"' in project
    assert f'license = "{labels["licenses"]}"' in project
    assert labels.keys() == {"title", "description", "licenses", "version", "revision"}


def test_the_variables_are_settings_and_the_state_is_where_the_user_may_write() -> None:
    (variables,) = values(LAST, "ENV")
    given = dict(re.findall(r"SIGNALFLOW_(\w+)=(\S+)", variables))
    assert {name.lower() for name in given} <= set(Settings.model_fields)
    (run,) = values(LAST, "RUN")
    assert f"--owner=10001 --group=10001 --mode=0700 {given['STATE_DIR']}" in run
    assert not re.search(r"(?i)secret|password|token", TEXT)


def included() -> list[str]:
    return [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def excluded() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("!", "#")) and line != "*"]


def test_the_context_has_only_what_is_copied_and_all_of_it() -> None:
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    copied = {
        source.removesuffix("/")
        for stage in (BUILD, LAST)
        for copy in values(stage, "COPY")
        if "--from" not in copy
        for source in [part for part in copy.split() if not part.startswith("--")][:-1]
    }
    assert set(included()) == copied
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize(
    "path",
    ["docker/.env", ".env", ".signalflow/password", "tests/conftest.py", ".git/config", ".venv/bin/python", "docs/x.md",
     "web/.env", "web/.env.local", "signalflow/.signalflow/secret", "web/dashboard/static/vendor/uPlot.iife.min.js"],
)  # fmt: skip
def test_state_secrets_and_tests_stay_out_of_the_context(path: str) -> None:
    is_included = any(path == one or path.startswith(f"{one}/") for one in included())
    parents = [str(parent) for parent in (Path(path), *Path(path).parents)]
    is_excluded = any(
        fnmatch.fnmatch(parent, pattern) or fnmatch.fnmatch(f"/{parent}", pattern.replace("**/", "*/"))
        for parent in parents
        for pattern in excluded()
    )
    assert is_excluded or not is_included


@pytest.mark.parametrize("script", sorted(DOCKER.rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_what_a_plain_shell_reads(script: Path) -> None:
    assert script.read_text().splitlines()[0] == "#!/bin/sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", script], check=True)


def test_a_container_that_replaces_a_worker_has_its_name_and_an_address_of_its_own(tmp_path: Path) -> None:
    programs, state = tmp_path / "bin", tmp_path / "state"
    programs.mkdir()
    state.mkdir()

    def started_on(host: str, **given: str) -> list[str]:
        for name, script in {
            "hostname": f"echo {host}",
            "faust": 'echo "$@"; echo "$SIGNALFLOW_WORKER_NAME $SIGNALFLOW_WORKER_WEB_HOST"',
        }.items():
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        done = subprocess.run(
            ["sh", DOCKER / "worker.sh"],
            env={"PATH": f"{programs}:/usr/bin:/bin", "SIGNALFLOW_STATE_DIR": str(state), **given},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    assert started_on("one") == ["--loop uvloop -A signalflow worker -l warn", "one one"]
    assert started_on("two")[1] == "one two"
    assert started_on("two", SIGNALFLOW_WORKER_NAME="w", SIGNALFLOW_WORKER_WEB_HOST="10.0.0.1")[1] == "w 10.0.0.1"
