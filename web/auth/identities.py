"""Who is behind a session or an API key. The database is asked at most every few seconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from signalflow.clock import utcnow
from signalflow.errors import Retryable
from signalflow.storage.api_keys import KeyIdentity, identity_of_key
from signalflow.storage.pool import Pool
from signalflow.storage.sessions import SessionIdentity, identity_of_session, token_hash
from web.breaker import Breaker
from web.single_flight import SingleFlight

# Access ends at most this long after a session, a key or a user ended; in the process that ended it, at once.
FRESH_SECONDS = 5.0
# A database that has not answered by then counts as away, and is not asked again for AWAY_SECONDS.
ANSWER_SECONDS = 2.0
AWAY_SECONDS = 2.0
MOST_KEPT = 10_000

Identity = SessionIdentity | KeyIdentity
# The id of a session, or the hash of an API key.
IdentityKey = UUID | bytes


@dataclass(slots=True)
class _Kept:
    identity: Identity
    until: float


class Identities:
    """The users behind sessions and keys; keeps at most MOST_KEPT of them."""

    def __init__(self, pool: Pool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._kept: OrderedDict[IdentityKey, _Kept] = OrderedDict()
        self._lookups: SingleFlight[IdentityKey, Identity | None] = SingleFlight()
        self._breaker = Breaker(AWAY_SECONDS, monotonic)

    async def of_session(self, session: UUID) -> SessionIdentity | None:
        """Who is behind the session, None when it has ended. Raises Retryable while the database is away."""
        found = await self._find(session, lambda: identity_of_session(self._pool, session, utcnow()))
        return found if isinstance(found, SessionIdentity) else None

    async def of_key(self, key: str) -> KeyIdentity | None:
        """Who is behind the API key, None when it is not valid. Raises Retryable while the database is away."""
        found = await self._find(token_hash(key), lambda: identity_of_key(self._pool, key, utcnow()))
        if not isinstance(found, KeyIdentity):
            return None
        return found if found.expires_at is None or found.expires_at > utcnow() else None

    def forget_session(self, session: UUID) -> None:
        """Ask the database again at the next request, because this process ended the session."""
        self._kept.pop(session, None)
        self._lookups.forget(session)

    async def _find(self, key: IdentityKey, look_up: Callable[[], Awaitable[Identity | None]]) -> Identity | None:
        kept = self._kept.get(key)
        if kept is not None and kept.until > self._monotonic():
            return kept.identity
        if self._breaker.is_open:
            raise Retryable("accounts cannot be looked up: the database did not answer a moment ago")
        # A thousand sockets of one user that reconnect at once cost one lookup.
        return await self._lookups.run(key, lambda: self._ask(key, look_up))

    async def _ask(self, key: IdentityKey, look_up: Callable[[], Awaitable[Identity | None]]) -> Identity | None:
        asked_at = self._monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await look_up()
        except (Retryable, TimeoutError) as error:
            self._breaker.failed()
            raise Retryable(f"accounts cannot be looked up: {error}") from error
        self._kept.pop(key, None)
        # Neither invalid credentials are kept, which would push out valid ones, nor a session that ended meanwhile.
        if found is not None and self._lookups.is_current(key):
            self._kept[key] = _Kept(found, asked_at + FRESH_SECONDS)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found
