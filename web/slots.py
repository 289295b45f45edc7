"""Bounds how many long answers a process gives at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

RETRY_SECONDS = 30


class Slots:
    """A number of slots. Each is held for as long as an answer takes."""

    def __init__(self, most: int, what: str) -> None:
        self._free, self._most, self._what = most, most, what

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a slot while inside. Raises HTTPException (503) when all are taken."""
        if not self._free:
            raise HTTPException(
                503,
                f"This server writes {self._most} {self._what} at once, and as many are under way. Try again later.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
