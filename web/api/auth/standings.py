"""Who is behind a session or an API key, asked of the database at most every few seconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from signalflow.clock import utcnow
from signalflow.errors import Retryable
from signalflow.storage.api_keys import KeyStanding, key_standing
from signalflow.storage.pool import Pool
from signalflow.storage.sessions import Standing, session_standing, token_hash

# How long access outlives the end of a session, a key or a user in this process. In the process that ended it: not at all.
FRESH_SECONDS = 5.0
# A database that does not answer by then counts as away, and is not asked again for some seconds.
ANSWER_SECONDS = 2.0
AWAY_SECONDS = 2.0
MOST_KEPT = 10_000

Found = Standing | KeyStanding


@dataclass(slots=True)
class _Kept:
    found: Found
    until: float


class Standings:
    """What is known of sessions and keys; at most MOST_KEPT of them."""

    def __init__(self, pool: Pool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._kept: OrderedDict[UUID | bytes, _Kept] = OrderedDict()
        self._under_way: dict[UUID | bytes, asyncio.Task[Found | None]] = {}
        self._away_until = 0.0

    async def of_session(self, session: UUID) -> Standing | None:
        """Who is behind the session, None when it has ended. Raises Retryable while the database is away."""
        found = await self._find(session, lambda: session_standing(self._pool, session, utcnow()))
        return found if isinstance(found, Standing) else None

    async def of_key(self, key: str) -> KeyStanding | None:
        """Who is behind the API key, None when it is not valid. Raises Retryable while the database is away."""
        found = await self._find(token_hash(key), lambda: key_standing(self._pool, key, utcnow()))
        if not isinstance(found, KeyStanding):
            return None
        return found if found.expires_at is None or found.expires_at > utcnow() else None

    def forget_session(self, session: UUID) -> None:
        """Ask again at the next request: the session was ended here."""
        self._kept.pop(session, None)
        self._under_way.pop(session, None)

    async def _find(self, what: UUID | bytes, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
        kept = self._kept.get(what)
        if kept is not None and kept.until > self._monotonic():
            return kept.found
        if self._away_until > self._monotonic():
            raise Retryable("accounts cannot be looked up: the database did not answer a moment ago")
        # A thousand sockets of one user that come back at once ask once.
        task = self._under_way.get(what)
        if task is None:
            task = self._under_way[what] = asyncio.create_task(self._ask(what, look))
            task.add_done_callback(lambda done: self._end(what, done))
        # One who leaves meanwhile does not take the answer of the others along.
        return await asyncio.shield(task)

    def _end(self, what: UUID | bytes, done: "asyncio.Task[Found | None]") -> None:
        if self._under_way.get(what) is done:
            del self._under_way[what]
        if not done.cancelled():
            done.exception()  # there may be nobody left to tell

    async def _ask(self, what: UUID | bytes, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
        asked = self._monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await look()
        except (Retryable, TimeoutError) as error:
            self._away_until = self._monotonic() + AWAY_SECONDS
            raise Retryable(f"accounts cannot be looked up: {error}") from error
        self._kept.pop(what, None)
        # What is not valid is not kept: a thief's guesses would push out what is. Nor is what ended while it was looked up.
        if found is not None and self._under_way.get(what) is asyncio.current_task():
            self._kept[what] = _Kept(found, asked + FRESH_SECONDS)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found
