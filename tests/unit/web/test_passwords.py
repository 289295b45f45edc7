"""Verifying passwords: the same work for every name, and a bounded number at once."""

import asyncio
import threading

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from signalflow.errors import Retryable
from tests.waiting import until
from web.auth.passwords import MOST_AT_ONCE, MOST_WAITING, Passwords, unfit

# The cheapest parameters that argon2 allows.
CHEAP = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"


class Watched(Argon2Hasher):
    """Counts its verifications, and how many run at once; `hold` makes each wait for `go_on`."""

    def __init__(self, hold: bool = False) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []
        self.now = self.most = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        if not hold:
            self.go_on.set()

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:
        with self._lock:
            self.verified.append(str(hash))
            self.now += 1
            self.most = max(self.most, self.now)
        self.go_on.wait(10)
        with self._lock:
            self.now -= 1
        return super().verify(password, hash)


async def test_right_and_wrong_passwords_are_told_apart() -> None:
    passwords = Passwords(PasswordHash((CHEAP,)))
    stored = CHEAP.hash(PASSWORD)
    assert await passwords.verify(PASSWORD, stored) == (True, None)
    assert await passwords.verify("another", stored) == (False, None)
    passwords.close()


async def test_one_hash_is_computed_whether_or_not_there_is_such_a_user() -> None:
    """The hash that is compared for an unknown name has the same parameters, so it takes the same time."""
    hasher = Watched()
    passwords = Passwords(PasswordHash((hasher,)))
    stored = hasher.hash(PASSWORD)
    await passwords.verify(PASSWORD, stored)
    await passwords.verify(PASSWORD, None)
    await passwords.verify(PASSWORD, None)
    ours, nobodys, again = hasher.verified
    assert (ours, nobodys) == (stored, again)
    assert nobodys.split("$")[:4] == stored.split("$")[:4]
    passwords.close()


async def test_a_hash_of_older_parameters_is_renewed() -> None:
    passwords = Passwords(PasswordHash((CHEAP,)))
    old = Argon2Hasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    right, renewed = await passwords.verify(PASSWORD, old)
    assert right
    assert renewed is not None
    assert CHEAP.verify(PASSWORD, renewed)
    passwords.close()


async def test_few_hashes_are_computed_at_once_and_too_many_sign_ins_are_told_to_retry() -> None:
    hasher = Watched(hold=True)
    passwords = Passwords(PasswordHash((hasher,)))
    stored = hasher.hash(PASSWORD)
    waiting = [asyncio.create_task(passwords.verify(PASSWORD, stored)) for _ in range(MOST_WAITING)]
    await until(lambda: passwords._waiting == MOST_WAITING)
    with pytest.raises(Retryable, match="too many"):
        await passwords.verify(PASSWORD, stored)
    hasher.go_on.set()
    assert await asyncio.gather(*waiting) == [(True, None)] * MOST_WAITING
    assert hasher.most <= MOST_AT_ONCE
    assert (await passwords.verify(PASSWORD, stored))[0]
    passwords.close()


@pytest.mark.parametrize(
    ("password", "why"), [("short", "too short"), ("a" * 257, "too long"), ("abab" * 4, "repeats"), ("", "too short")]
)
def test_a_password_that_can_be_guessed_is_refused(password: str, why: str) -> None:
    assert why in str(unfit(password))


def test_a_long_password_is_taken() -> None:
    assert unfit(PASSWORD) is None
