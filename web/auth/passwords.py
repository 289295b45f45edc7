"""Passwords: argon2 in a few threads of its own. The work is the same whether or not the user exists."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from pwdlib import PasswordHash

from signalflow.errors import Retryable

MIN_CHARACTERS = 12
# Argon2 takes any length, so a long password could keep it busy.
MAX_CHARACTERS = 256
# Each hash takes 64 MiB and about 50 ms of a core.
MOST_AT_ONCE = 2
MOST_WAITING = 20


class Busy(Retryable):
    """Too many sign-ins at once. The database is not the reason."""


class Passwords:
    """Hashes and verifies. Close it when the process ends."""

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._hasher = hasher or PasswordHash.recommended()
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "argon2")
        self._waiting = 0
        self._dummy_hash: str | None = None

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and a hash to store instead when the parameters have changed since.

        With None (no such user, or a user without a password) the answer is False, after the same work. Raises Busy
        when too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise Busy("too many sign-ins at once")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password, stored)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Take no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        if self._dummy_hash is None:
            # Made for both kinds of answer, so that the time of the first one does not tell them apart.
            self._dummy_hash = self._hasher.hash(secrets.token_urlsafe())
        right, renewed = self._hasher.verify_and_update(password, stored or self._dummy_hash)
        return (right, renewed) if stored else (False, None)


def unfit(password: str) -> str | None:
    """Why a new password is refused; None when it is accepted."""
    if len(password) < MIN_CHARACTERS:
        return f"is too short: {MIN_CHARACTERS} characters at least"
    if len(password) > MAX_CHARACTERS:
        return f"is too long: {MAX_CHARACTERS} characters at most"
    if len(set(password)) < 5:
        return "repeats itself"
    return None
