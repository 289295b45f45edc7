"""docker/compose.yaml as Docker would read it: its variables replaced, its defaults taken.

Docker itself is needed for nothing here. What is understood is what the file uses: `$$`, `${NAME}`, `${NAME:-default}`
and `${NAME:?message}`.
"""

import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")


class Missing(Exception):
    """A variable that has no value and no default."""


def made_env() -> dict[str, str]:
    """The variables that `make env` writes."""
    values: dict[str, str] = runpy.run_path(str(ROOT / "scripts" / "make_env.py"))["new_values"]()
    return values


def replaced(text: str, given: Mapping[str, str]) -> str:
    """A text of the file with its variables replaced. Raises Missing."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        found = given.get(match["name"], "")
        if not found and match["kind"] == "?":
            raise Missing(f"{match['name']}: {match['rest']}")
        return found or (match["rest"] if match["kind"] == "-" else "")

    return _VARIABLE.sub(value, text)


def rendered(given: Mapping[str, str]) -> dict[str, Any]:
    """The file with these variables. Raises Missing."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return replaced(node, given) if isinstance(node, str) else node

    return {
        key: walk(value)
        for key, value in yaml.safe_load(COMPOSE.read_text(encoding="utf-8")).items()
        if not key.startswith("x-")
    }


def settings_of(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a service that are settings of this project."""
    environment = service.get("environment", {})
    return {name: value for name, value in environment.items() if name.startswith("SIGNALFLOW_")}
