"""asyncpraw 8.0.3 and asyncprawcore 4.0.0 without their own retries and sleeps. Only this module uses their internals.

asyncprawcore by itself repeats a request up to twice, sleeps up to 10 s before one, and fetches a token for each of
several concurrent callers. All three bypass the poller's budget, which counts requests and decides when the next one
starts. Here every call is one attempt without a sleep, and concurrent callers share one fetch of the token. aiohttp
still sends a request again when its kept-alive connection turns out to be closed; Reddit has not seen the first one.
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
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from asyncprawcore import ReadOnlyAuthorizer, Requestor, Session, TrustedAuthenticator
from asyncprawcore.const import ACCESS_TOKEN_PATH, WINDOW_SIZE
from asyncprawcore.exceptions import AsyncPrawcoreException, ResponseException
from asyncprawcore.rate_limit import RateLimiter
from asyncprawcore.sessions import RetryStrategy

from signalflow.metrics import REDDIT_REQUESTS
from signalflow.proxies import proxy_with_password
from signalflow.reddit.answers import Answer

# A token is renewed when nine tenths of its lifetime are over. Otherwise each token would end with a 401.
TOKEN_LIFE_USED = 0.9
NANOSECONDS = 1_000_000_000


class Refused(ResponseException):
    """Any answer but a 200.

    Raised before asyncprawcore reads the answer: its own classes read Retry-After and WWW-Authenticate in a way that
    raises ValueError and KeyError for legal answers.
    """

    def __init__(self, response: ClientResponse, answer: Answer, body: bytes) -> None:
        super().__init__(response)
        self.answer = answer
        self.body = body
        self.at_token_endpoint: bool = response.url.path == ACCESS_TOKEN_PATH


class BadTokenAnswer(AsyncPrawcoreException):
    """The token endpoint answered 200 without a usable token."""


@dataclass(slots=True)
class Exchange:
    """The token that one API call sent and the answer that it got, set while the call runs."""

    token: str | None = None
    answer: Answer | None = None


# All callers share the requestor; the context tells to which of them a request belongs.
_exchange: ContextVar[Exchange] = ContextVar("exchange")


class ObservingRequestor(Requestor):
    """Keeps the headers and the arrival of each answer, and raises Refused unless its status is 200.

    It uses the timeout of the settings; asyncprawcore passes a constant of 16 s. It uses the proxy that the environment
    names, if Reddit is not on this machine.
    """

    def __init__(self, *, clock: Callable[[], datetime], timeout: float, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self._clock = clock

    async def _ensure_session(self) -> None:
        session: ClientSession | None = self._http
        if session is None or session.closed:
            self._http: ClientSession | None = ClientSession(
                headers=self.headers,
                timeout=ClientTimeout(total=None),
                proxy=proxy_with_password(self.oauth_url),
            )

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, timeout: float | None = None, **kwargs: Any
    ) -> AsyncIterator[ClientResponse]:
        """As Requestor.request, but also raises Refused. Counts fetches of tokens, which no caller sees."""
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
    """App-only OAuth with one fetch of a token at a time. Callers that wait for it share its result, token or error."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._fetching: asyncio.Lock = asyncio.Lock()
        self._fetches = 0
        self._failure: AsyncPrawcoreException | None = None
        self._renew_at_ns = 0

    def is_valid(self) -> bool:
        """Whether there is a token that need not be renewed yet."""
        return self.access_token is not None and time.monotonic_ns() < self._renew_at_ns

    async def refresh(self) -> None:
        """Fetch a token, or wait for a fetch that runs already. Then raise the error of that fetch, if it failed."""
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
                # Counted at the end: a caller that came while this fetch ran has seen the lower count, and so takes its
                # result.
                self._fetches += 1

    async def _fetch(self) -> None:
        started = time.monotonic_ns()
        self._clear_access_token()
        try:
            await super().refresh()
            # asyncprawcore adds 10 s to the lifetime that Reddit granted.
            life_ns = self._expiration_timestamp_ns - 10 * NANOSECONDS - started
            self._renew_at_ns = started + int(TOKEN_LIFE_USED * life_ns)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise BadTokenAnswer("a field of the token is missing, or has another type or range") from error
        if not self.is_valid():
            raise BadTokenAnswer("the token is null or already expired")

    def discard(self, token: str | None) -> None:
        """Forget this token, which was refused. A newer one, which another caller has fetched meanwhile, stays."""
        if self.access_token == token:
            self._clear_access_token()


class _NoPacing(RateLimiter):
    """No pacing: the poller's budget does it.

    asyncprawcore's limiter is not safe for concurrent calls, and fails on headers that are not numbers.
    """

    async def delay(self) -> None:
        return

    def update(self, *, response_headers: Any) -> None:
        return


class _OneAttempt(RetryStrategy):
    """No retries: the budget would not count them."""

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

    async def exchange(
        self, path: str, params: dict[str, str | int], exchange: Exchange | None = None
    ) -> tuple[object, Answer]:
        """GET a path; returns the parsed JSON and the answer. Raises AsyncPrawcoreException.

        `exchange` gets the answer also when it cannot be used: its headers count nevertheless.
        When Reddit refuses the token, because it has revoked it, a new one is fetched and the call is repeated once.
        The caller does not count the repeat, but x-ratelimit-used does, and the budget follows that.
        """
        exchange = exchange or Exchange()
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
        # Status and headers are enough to decide what to do. The body could only have added a reason.
        return b""
