"""RedditClient over asyncpraw: it validates posts, and translates errors into ours."""

from collections.abc import Callable, Sequence
from datetime import datetime

from aiohttp import ClientConnectorError
from asyncprawcore.exceptions import AsyncPrawcoreException, OAuthException, RequestException

from signalflow.clock import utcnow
from signalflow.errors import Invalid, SignalflowError
from signalflow.reddit.answers import Answer, comment_page_of, page_of, subreddit_page_of
from signalflow.reddit.protocol import (
    MAX_IDS,
    MAX_LIMIT,
    MAX_TREE,
    Capabilities,
    CommentPage,
    Page,
    RateLimited,
    SubredditPage,
    SubredditUnavailable,
    TokenRefused,
    Unauthorized,
    Unavailable,
)
from signalflow.reddit.refusals import checked_id, fault_of_a_name, joined, word
from signalflow.reddit.transport import BadTokenAnswer, Exchange, ObservingRequestor, PlainReddit, Refused
from signalflow.reddit.trees import tree_page_of
from signalflow.settings import Settings

SIMULATOR_CREDENTIAL = "simulator"
CAPABILITIES = Capabilities(
    page_size=MAX_LIMIT,
    listings=frozenset({"new", "hot", "rising", "top", "controversial"}),
    answers_ids=True,
    tells_numbers=True,
    lists_subreddits=True,
)


class AsyncprawClient:
    """An OAuth client of Reddit or of its simulator. Calls may run concurrently; each makes its request at once."""

    capabilities = CAPABILITIES

    def __init__(self, reddit: PlainReddit) -> None:
        self._reddit = reddit

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], datetime] = utcnow) -> "AsyncprawClient":
        """The client that the settings describe. It connects at its first call. Raises Invalid without credentials."""
        client_id, secret = settings.reddit_client_id, settings.reddit_client_secret.get_secret_value()
        if settings.reddit_source == "simulator" or (settings.reddit_base_url and not client_id):
            # Reddit's own credentials are not for a simulator.
            client_id = secret = SIMULATOR_CREDENTIAL if settings.reddit_base_url else ""
        if not client_id:
            raise Invalid(
                "no Reddit to poll: set SIGNALFLOW_REDDIT_CLIENT_ID and SIGNALFLOW_REDDIT_CLIENT_SECRET, or "
                "SIGNALFLOW_REDDIT_BASE_URL for a simulator",
                field="reddit_client_id",
            )
        base = settings.reddit_base_url
        return cls(
            PlainReddit(
                client_id=client_id,
                client_secret=secret,
                user_agent=settings.reddit_user_agent,
                check_for_updates=False,
                requestor_class=ObservingRequestor,
                requestor_kwargs={"clock": clock, "timeout": settings.reddit_timeout},
                **({"reddit_url": base, "oauth_url": base} if base else {}),
            )
        )

    @property
    def hosts(self) -> tuple[str, str]:
        """The base URLs of tokens and of posts."""
        return self._reddit.config.reddit_url, self._reddit.config.oauth_url

    async def sign_in(self) -> None:
        """Get a token, which costs none of the requests that Reddit counts.

        Raises Unauthorized for wrong credentials, RateLimited or Unavailable.
        """
        try:
            await self._reddit.authorizer.refresh()
        except AsyncPrawcoreException as error:
            raise translated(error, Exchange()) from error

    async def listing(
        self,
        names: Sequence[str],
        *,
        sort: str = "new",
        period: str | None = None,
        limit: int = MAX_LIMIT,
        after: str | None = None,
    ) -> Page:
        """See RedditClient. Never sends `count`, which would change what `after` means."""
        params = _paged(limit, after) | ({"t": period} if period else {})
        return page_of(*await self._get(f"/r/{joined(names)}/{sort}", params, names=len(names)))

    async def comments(self, names: Sequence[str], *, limit: int = MAX_LIMIT, after: str | None = None) -> CommentPage:
        """See RedditClient."""
        path = f"/r/{joined(names)}/comments"
        return comment_page_of(*await self._get(path, _paged(limit, after), names=len(names)))

    async def post_comments(self, post: str, *, limit: int = MAX_TREE) -> CommentPage:
        """See RedditClient. One subreddit can be at fault, that of the post."""
        params: dict[str, str | int] = {"limit": limit, "sort": "top"}
        return tree_page_of(*await self._get(f"/comments/{checked_id(post)}", params, names=1))

    async def info(self, ids: Sequence[str]) -> Page:
        """See RedditClient. Raises Invalid unless there are 1 to MAX_IDS ids: Reddit would answer without any post."""
        return page_of(*await self._get("/api/info", _named("t3", ids)))

    async def comments_by_id(self, ids: Sequence[str]) -> CommentPage:
        """See RedditClient. Raises Invalid as `info` does."""
        return comment_page_of(*await self._get("/api/info", _named("t1", ids)))

    async def popular_subreddits(self, *, limit: int = MAX_LIMIT) -> SubredditPage:
        """See RedditClient."""
        return subreddit_page_of(*await self._get("/subreddits/popular", _paged(limit, None)))

    async def _get(self, path: str, params: dict[str, str | int], names: int = 0) -> tuple[object, Answer]:
        exchange = Exchange()
        try:
            return await self._reddit.exchange(path, params, exchange)
        except AsyncPrawcoreException as error:
            raise translated(error, exchange, names) from error

    async def close(self) -> None:
        """See RedditClient."""
        await self._reddit.close()


def _named(kind: str, ids: Sequence[str]) -> dict[str, str | int]:
    if not 1 <= len(ids) <= MAX_IDS:
        raise Invalid(f"{len(ids)} ids in one request; Reddit answers 1 to {MAX_IDS}", field="ids")
    return {"id": ",".join(f"{kind}_{id_}" for id_ in ids)}


def _paged(limit: int, after: str | None) -> dict[str, str | int]:
    return {"limit": limit} if after is None else {"limit": limit, "after": after}


def translated(error: AsyncPrawcoreException, exchange: Exchange, names: int = 0) -> SignalflowError:
    """Our error for one of asyncprawcore. `names` is the number of subreddits in a listing, 0 for other requests."""
    if isinstance(error, Refused):
        return _of_status(error, names)
    if isinstance(error, OAuthException):
        return Unauthorized(f"the token endpoint refused the credentials: {word(error.error)}")
    if isinstance(error, BadTokenAnswer):
        return Unavailable(f"unusable answer: {type(error).__name__}: {error}")
    if exchange.answer is not None:
        # Truncated JSON, HTML with 200, or a connection that broke within the body.
        return Unavailable(f"unusable answer: {_kind(error)}", "unusable_answer", exchange.answer.rate_limit)
    # A timeout, or a connection that was refused or broke. Without a token, or without a connection, the request never
    # reached Reddit, and what it names cannot be the reason.
    cause = error.original_exception if isinstance(error, RequestException) else error
    is_sent = exchange.token is not None and not isinstance(cause, ClientConnectorError)
    return Unavailable(f"no answer: {_kind(error)}", "no_answer" if is_sent else None)


def _kind(error: AsyncPrawcoreException) -> str:
    """The type of an error, or of its cause. Their messages may contain the URL."""
    return type(error.original_exception if isinstance(error, RequestException) else error).__name__


def _of_status(refused: Refused, names: int) -> SignalflowError:
    answer, status = refused.answer, refused.answer.status
    place = "the token endpoint" if refused.at_token_endpoint else "Reddit"
    if status == 429:
        return RateLimited(f"{place} answered 429", answer.retry_after, answer.rate_limit)
    if status == 401 or (status == 403 and refused.at_token_endpoint):
        thing = "credentials" if refused.at_token_endpoint else "token"
        kind = Unauthorized if refused.at_token_endpoint else TokenRefused
        return kind(f"{place} refused the {thing} ({status})", answer.rate_limit)
    if refused.at_token_endpoint:
        return Unavailable(f"{place} answered {status}", None, answer.rate_limit)
    if names and (reason := fault_of_a_name(answer, refused.body)):
        message = f"a listing of {names} subreddits answered {status}: {reason}"
        return SubredditUnavailable(message, reason, answer.rate_limit)
    return Unavailable(f"{place} answered {status}", f"status_{status}", answer.rate_limit)
