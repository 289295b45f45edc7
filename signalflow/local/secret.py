"""The secret with which a local stack signs tokens: random, made once, readable by its owner only."""

import secrets
from pathlib import Path

from signalflow.local.private_files import write_private

FILE = "api_secret"


def own_secret(state_dir: Path) -> str:
    """The secret of the stack in this directory, made by the first call. Removing its file signs everybody out."""
    path = state_dir / FILE
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = secrets.token_urlsafe(48)
    write_private(path, secret)
    return secret
