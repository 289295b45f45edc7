"""Write the file of variables that docker/compose.yaml needs, with random passwords: `make_env.py docker/.env`.

Only its owner can read it. What the file has already stays, so it can be called again after an upgrade. Needs nothing
but Python.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

# Digits and letters only, since they become parts of URLs.
PASSWORDS = (
    "DATABASE_SUPERUSER_PASSWORD",
    "DATABASE_PASSWORD",
    "DATABASE_READER_PASSWORD",
    "DATABASE_REPLICATION_PASSWORD",
    "DATABASE_EXPORTER_PASSWORD",
    "VALKEY_PASSWORD",
    "API_SECRET",
    "WORKER_TOKEN",
    "SIMULATOR_SECRET",
    "GRAFANA_PASSWORD",
)
PASSWORD_BYTES = 24


def cluster_id() -> str:
    """An id of a Kafka cluster: 16 bytes as URL-safe base64. Kafka's tools would take a leading dash for an option."""
    while True:
        made = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not made.startswith("-"):
            return made


def new_values() -> dict[str, str]:
    """A value for each variable: the demo, with the simulator in the place of Reddit."""
    passwords = {name: secrets.token_hex(PASSWORD_BYTES) for name in PASSWORDS}
    return {
        "COMPOSE_PROFILES": "core,demo,observability",
        "KAFKA_CLUSTER_ID": cluster_id(),
        **passwords,
        "REDDIT_BASE_URL": "http://simulator:8090",
        "REDDIT_CLIENT_ID": "simulator",
        "REDDIT_CLIENT_SECRET": passwords["SIMULATOR_SECRET"],
    }


def completed(text: str) -> str:
    """The text of a file of variables with those that it lacks. The simulator's secret stays what it was."""
    given = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    values = new_values()
    if "SIMULATOR_SECRET" in given:
        values["REDDIT_CLIENT_SECRET"] = given["SIMULATOR_SECRET"]
    # Whoever has chosen a source has no use for the simulator's address.
    if any(name.startswith("REDDIT_") for name in given):
        values = {name: value for name, value in values.items() if not name.startswith("REDDIT_")}
    lines = [f"{name}={value}\n" for name, value in values.items() if name not in given]
    return text + ("" if not text or text.endswith("\n") else "\n") + "".join(lines)


def main(path: Path) -> None:
    """Write the file anew, and put it in the place of the old one at once."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(completed(text))
    new.replace(path)
    print(f"{path}: only you can read it; it has every password of the containers")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
