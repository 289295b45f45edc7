"""asyncpraw 8.0.3 / asyncprawcore 4.0.0 without its own ideas about waiting: the only code that touches their inner side.

asyncprawcore would repeat a request up to twice by itself, sleep up to 10 s before one, and fetch a token once for each of
several concurrent callers. All three bypass the budget of the poller, which counts requests and decides when the next one
goes out. So here every call is one attempt without a sleep, and the token is fetched once whoever waits for it. (aiohttp still
sends a request again when the kept connection that it chose turns out to be closed: Reddit has not seen the first one then.)
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpraw
from aiohttp import ClientError, ClientResponse
from asyncprawcore import ReadOnlyAuthorizer, Requestor, Session, TrustedAuthenticator
from asyncprawcore.const import ACCESS_TOKEN_PATH, WINDOW_SIZE
from asyncprawcore.exceptions import AsyncPrawcoreException, ResponseException
from asyncprawcore.rate_limit import RateLimiter
from asyncprawcore.sessions import RetryStrategy

from signalflow.metrics import REDDIT_REQUESTS
from signalflow.reddit.answers import Answer

# Renewed when nine tenths of its life are over, so that the one 401 per lifetime that asyncprawcore accepts is no normal case.
TOKEN_LIFE_USED = 0.9
NANOSECONDS = 1_000_000_000


class Refused(ResponseException):
    """Any answer but 200. Raised before asyncprawcore looks at it: its own classes read headers (Retry-After,
    WWW-Authenticate) in ways that raise ValueError and KeyError on legal answers."""

    def __init__(self, response: ClientResponse, answer: Answer, body: bytes) -> None:
        super().__init__(response)
        self.answer = answer
        self.body = body
        self.at_token_endpoint: bool = response.url.path == ACCESS_TOKEN_PATH


class BadTokenAnswer(AsyncPrawcoreException):
    """The token endpoint answered 200 without a usable token."""


@dataclass(slots=True)
class Exchange:
    """What one API call sent and got, filled in while it runs."""

    token: str | None = None
    answer: Answer | None = None


# The requestor is shared by all callers; the context tells which of them a request belongs to.
_exchange: ContextVar[Exchange] = ContextVar("exchange")


class ObservingRequestor(Requestor):
    """Notes each answer's headers and arrival, refuses what is not 200, and uses the timeout of the settings (asyncprawcore
    passes a constant of 16 s)."""

    def __init__(self, *, clock: Callable[[], datetime], timeout: float, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self._clock = clock

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, timeout: float | None = None, **kwargs: Any
    ) -> AsyncIterator[ClientResponse]:
        """As Requestor.request; raises Refused besides RequestException. Counts token fetches, which no caller sees."""
        is_token = url.endswith(ACCESS_TOKEN_PATH)
        outcome = "failed"
        try:
            async with super().request(method, url, timeout=self.timeout, **kwargs) as response:
                outcome = str(response.status)
                answer = Answer(response.status, response.headers, self._clock())
                if response.status != 200:
                    raise Refused(response, answer, await _body_of(response))
                if not is_token:
                    _exchange.get().answer = answer
                yield response
        finally:
            if is_token:
                REDDIT_REQUESTS.labels(kind="token", outcome=outcome).inc()


class SharedTokenAuthorizer(ReadOnlyAuthorizer):
    """App-only OAuth with one token fetch at a time: who waited for it shares its outcome, be it a token or an error."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._fetching: asyncio.Lock = asyncio.Lock()
        self._fetches = 0
        self._failure: AsyncPrawcoreException | None = None
        self._renew_at_ns = 0

    def is_valid(self) -> bool:
        """Whether there is a token with a good part of its life left."""
        return self.access_token is not None and time.monotonic_ns() < self._renew_at_ns

    async def refresh(self) -> None:
        """Fetch a token unless one came while waiting. Raises what the fetch that was waited for raised."""
        seen = self._fetches
        async with self._fetching:
            if self.is_valid():
                return
            if self._fetches != seen and self._failure is not None:
                raise self._failure
            self._failure = None
            try:
                await self._fetch()
            except AsyncPrawcoreException as error:
                self._failure = error
                raise
            finally:
                # Only now: whoever came while this fetch ran has counted one less, and takes its outcome.
                self._fetches += 1

    async def _fetch(self) -> None:
        started = time.monotonic_ns()
        self._clear_access_token()
        try:
            await super().refresh()
        except (KeyError, TypeError, AttributeError) as error:
            raise BadTokenAnswer("a field of the token is missing or has another type") from error
        # asyncprawcore adds 10 s to the life that was granted.
        life_ns = self._expiration_timestamp_ns - 10 * NANOSECONDS - started
        self._renew_at_ns = started + int(TOKEN_LIFE_USED * life_ns)
        if not self.is_valid():
            raise BadTokenAnswer("the token is null or already expired")

    def discard(self, token: str | None) -> None:
        """Forget this token, which was refused; a newer one, fetched by another caller meanwhile, stays."""
        if self.access_token == token:
            self._clear_access_token()


class _NoPacing(RateLimiter):
    """The poller's budget paces; asyncprawcore's limiter is not safe under concurrency and fails on headers that are no numbers."""

    async def delay(self) -> None:
        return

    def update(self, *, response_headers: Any) -> None:
        return


class _OneAttempt(RetryStrategy):
    """No repeats: each would be a request that the budget does not know of."""

    def _sleep_seconds(self) -> float | None:
        return None

    def consume_available_retry(self) -> "_OneAttempt":
        return self

    def should_retry_on_failure(self) -> bool:
        return False


class _PlainSession(Session):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._rate_limiter = _NoPacing(window_size=WINDOW_SIZE)
        self._retry_strategy_class = _OneAttempt

    async def _set_header_callback(self) -> dict[str, str]:
        headers: dict[str, str] = await super()._set_header_callback()
        _exchange.get().token = self._authorizer.access_token
        return headers


class PlainReddit(asyncpraw.Reddit):
    """asyncpraw.Reddit, read-only, whose `get` is exactly one HTTP request (two when a token is due)."""

    authorizer: SharedTokenAuthorizer

    def _prepare_trusted_asyncprawcore(self, requestor: Requestor) -> None:
        authenticator = TrustedAuthenticator(
            client_id=self.config.client_id, client_secret=self.config.client_secret, requestor=requestor
        )
        self.authorizer = SharedTokenAuthorizer(authenticator=authenticator)
        self._core = self._read_only_core = _PlainSession(authorizer=self.authorizer)

    async def exchange(self, path: str, params: dict[str, str | int]) -> tuple[object, Answer]:
        """GET a path: the parsed JSON and the answer. Raises AsyncPrawcoreException.

        A refused token is replaced and the call repeated once: that happens when Reddit revokes tokens, and leaves the
        repeat uncounted by the caller, but not by x-ratelimit-used, which the budget follows.
        """
        exchange = Exchange()
        _exchange.set(exchange)
        try:
            payload = await self.request(method="GET", path=path, params=params)
        except Refused as refused:
            if refused.answer.status != 401 or refused.at_token_endpoint:
                raise
            self.authorizer.discard(exchange.token)
            payload = await self.request(method="GET", path=path, params=params)
        if exchange.answer is None:
            raise AssertionError("a call that returned must have had an answer")
        return payload, exchange.answer


async def _body_of(response: ClientResponse) -> bytes:
    try:
        return await response.read()
    except (ClientError, TimeoutError):
        # Status and headers say what to do; the body would only have named a reason.
        return b""
