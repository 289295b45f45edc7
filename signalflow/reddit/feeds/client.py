"""RedditClient over Reddit's Atom feeds, which need no credentials."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version

from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector

from signalflow.clock import utcnow
from signalflow.errors import Invalid, SignalflowError
from signalflow.proxies import proxy_with_password
from signalflow.reddit.answers import Answer
from signalflow.reddit.feeds.blocks import Refusals, block_of
from signalflow.reddit.feeds.entries import MAX_FEED_BYTES
from signalflow.reddit.feeds.posts import comment_page_of_feed, discussion_of_feed, page_of_feed
from signalflow.reddit.protocol import (
    MAX_LIMIT,
    MAX_TREE,
    Blocked,
    Capabilities,
    CommentPage,
    Page,
    RateLimited,
    SubredditPage,
    SubredditUnavailable,
    Unavailable,
)
from signalflow.reddit.refusals import checked_id, fault_of_a_name, joined
from signalflow.reddit_settings import CONTACT, FEEDS_PER_MINUTE, PERSONAL_FEEDS_PER_MINUTE, PersonalFeed
from signalflow.settings import Settings

REDDIT = "https://www.reddit.com"
LISTINGS = frozenset({"new", "hot", "rising", "top"})
_CHUNK = 2**16


def capabilities_of(personal: PersonalFeed | None) -> Capabilities:
    """What feeds can do, for a reader with or without a personal feed."""
    return Capabilities(
        page_size=MAX_LIMIT,
        listings=LISTINGS,
        answers_ids=False,
        tells_numbers=False,
        lists_subreddits=False,
        per_minute=FEEDS_PER_MINUTE if personal is None else PERSONAL_FEEDS_PER_MINUTE,
    )


class FeedClient:
    """Asks for feeds, one request a call. `contact` tells Reddit whom to write to, such as a mail address.

    A personal feed lifts the limit by address; its secret is in no error. Raises Invalid for a contact that is none.
    """

    def __init__(
        self,
        contact: str,
        *,
        personal: PersonalFeed | None = None,
        base_url: str = "",
        timeout: float = 16.0,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        if not CONTACT.fullmatch(contact):
            raise Invalid("feeds need a contact for the user agent, such as a mail address", field="contact")
        # Reddit refuses the names of libraries at once.
        self._user_agent = f"linux:signalflow:{version('signalflow')} (by {contact})"
        self.capabilities = capabilities_of(personal)
        self._personal = personal
        self._base = base_url or REDDIT
        self._timeout = timeout
        self._clock = clock
        self._opened: ClientSession | None = None
        self._refusals = Refusals()

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], datetime] = utcnow) -> "FeedClient":
        """The client that the settings describe. Raises Invalid without a contact."""
        return cls(
            settings.reddit_contact,
            personal=settings.personal_feed,
            base_url=settings.reddit_base_url,
            timeout=settings.reddit_timeout,
            clock=clock,
        )

    async def listing(
        self,
        names: Sequence[str],
        *,
        sort: str = "new",
        period: str | None = None,
        limit: int = MAX_LIMIT,
        after: str | None = None,
    ) -> Page:
        """See RedditClient."""
        if sort not in LISTINGS:
            raise Invalid(f"feeds have no listing {sort!r}", field="sort")
        answer, body = await self._feed(f"/r/{joined(names)}/{sort}/.rss", limit, after, len(names), period)
        return page_of_feed(body, answer, limit)

    async def comments(self, names: Sequence[str], *, limit: int = MAX_LIMIT, after: str | None = None) -> CommentPage:
        """See RedditClient."""
        answer, body = await self._feed(f"/r/{joined(names)}/comments/.rss", limit, after, len(names))
        return comment_page_of_feed(body, answer, limit)

    async def post_comments(self, post: str, *, limit: int = MAX_TREE) -> CommentPage:
        """See RedditClient: the newest comments, at most a page of them. A feed tells neither depth nor parent."""
        # The first entry is the post.
        asked = min(limit + 1, MAX_LIMIT)
        answer, body = await self._feed(f"/comments/{checked_id(post)}/.rss", asked, None, 1, sort="new")
        return discussion_of_feed(body, answer, limit)

    async def comments_by_id(self, ids: Sequence[str]) -> CommentPage:
        """Raises Invalid: feeds cannot be asked for comments by id."""
        raise Invalid(f"feeds do not answer by id, and {len(ids)} ids were asked for", field="ids")

    async def info(self, ids: Sequence[str]) -> Page:
        """Raises Invalid: feeds cannot be asked for posts by id."""
        raise Invalid(f"feeds do not answer by id, and {len(ids)} ids were asked for", field="ids")

    async def popular_subreddits(self, *, limit: int = MAX_LIMIT) -> SubredditPage:
        """Raises Invalid: a feed has posts or comments."""
        raise Invalid(f"feeds have no list of subreddits, and {limit} were asked for", field="subreddits")

    async def close(self) -> None:
        """See RedditClient."""
        if self._opened is not None:
            await self._opened.close()

    async def _feed(
        self,
        path: str,
        limit: int,
        after: str | None,
        names: int,
        period: str | None = None,
        sort: str | None = None,
    ) -> tuple[Answer, bytes]:
        params = {"limit": str(limit)}
        if sort is not None:
            params["sort"] = sort
        if period is not None:
            params["t"] = period
        if after is not None:
            params["after"] = after
        answer, body = await self._get(path, params)
        refusal = self._refusal(answer, body, names)
        if refusal is not None:
            raise refusal
        return answer, body

    def _refusal(self, answer: Answer, body: bytes, names: int) -> SignalflowError | None:
        """The error that the answer means; None for a feed."""
        status, limits = answer.status, answer.rate_limit
        if status == 429:
            if self._refusals.refused(answer):
                return Blocked("limit", "Reddit blocks this address: it refuses every feed with 429", limits)
            return RateLimited("Reddit answered 429", answer.retry_after, limits)
        self._refusals.answered()
        if reason := fault_of_a_name(answer, body):
            return SubredditUnavailable(f"a feed of {names} subreddits answered {status}: {reason}", reason, limits)
        if block := block_of(answer, body):
            return Blocked(block, f"Reddit blocks this address: it answers with a page ({status}), not a feed", limits)
        return None if status == 200 else Unavailable(f"Reddit answered {status}", f"status_{status}", limits)

    async def _get(self, path: str, params: Mapping[str, str]) -> tuple[Answer, bytes]:
        """One request. Its errors name no address and have no cause: both would hold the secret."""
        secret = {} if self._personal is None else self._personal.params()
        answer: Answer | None = None
        try:
            async with self._session().get(
                self._base + path, params={**params, **secret}, allow_redirects=False
            ) as response:
                answer = Answer(response.status, response.headers, self._clock())
                body = await _bounded(response)
        except (ClientError, TimeoutError, OSError) as error:
            kind, is_sent = type(error).__name__, not isinstance(error, ClientConnectorError)
        else:
            if body is not None:
                return answer, body
            kind, is_sent = f"more than {MAX_FEED_BYTES} bytes", True
        if answer is not None:
            raise Unavailable(f"unusable answer: {kind}", "unusable_answer", answer.rate_limit)
        raise Unavailable(f"no answer: {kind}", "no_answer" if is_sent else None)

    def _session(self) -> ClientSession:
        """Opened at the first request, because it belongs to the running loop."""
        if self._opened is None:
            self._opened = ClientSession(
                headers={"User-Agent": self._user_agent},
                timeout=ClientTimeout(total=self._timeout),
                connector=TCPConnector(force_close=True),
                proxy=proxy_with_password(self._base),
            )
            # By itself aiohttp sends a request again when the connection breaks. Reddit would count both, and refuse
            # the second. Without kept connections none breaks because it was old.
            self._opened._retry_connection = False
        return self._opened


async def _bounded(response: ClientResponse) -> bytes | None:
    """The unpacked body; None if it is too large for a feed."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > MAX_FEED_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
