"""The protocol of a Reddit client. Reddit itself, the simulator or recorded answers may stand behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from signalflow.domain.budget import UNKNOWN_LIMIT, RateLimit
from signalflow.errors import Invalid, Retryable
from signalflow.events import Comment, Post

MAX_IDS = 100
MAX_LIMIT = 100
# The most comments of a tree in one answer.
MAX_TREE = 500
Block = Literal["forbidden", "page", "limit"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source of posts can do.

    `page_size`: the most posts of a page. `listings`: the sorts that it has. `answers_ids`: whether it can be asked for
    posts and comments by id. `tells_numbers`: whether a post has its score, number of comments, ratio, flair and age
    limit; if not, these are None. `lists_subreddits`: whether it has Reddit's list of popular subreddits. `per_minute`:
    how often it may be asked before its answers tell; None: as the settings say.
    """

    page_size: int
    listings: frozenset[str]
    answers_ids: bool
    tells_numbers: bool
    lists_subreddits: bool
    per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item of an answer that is left out.

    `reason` is the field at fault, `kind` for something that is no post (no comment, in a listing of comments),
    `promoted` for an advertisement, `not_asked` for a post that the request did not ask for. `key` is the item's id, or
    a number that is the same for equal items.
    """

    key: str | int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Page:
    """The posts of one answer, in its order.

    `after` is the fullname that the request for the next page needs, None on the last page. `observed_at` is the moment
    the answer arrived. `rejections` are the items that were left out.
    """

    posts: tuple[Post, ...]
    after: str | None
    observed_at: datetime
    rate_limit: RateLimit
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundComment:
    """A comment of an answer, and the subreddit that it is in."""

    subreddit: str
    comment: Comment


@dataclass(frozen=True, slots=True)
class More:
    """Comments that the tree of a post names in place of showing them ("load more comments").

    `count` is how many there are, `ids` those that can be asked for by id: none where the tree only says that a thread
    goes on.
    """

    ids: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class CommentPage:
    """The comments of one answer, in its order, which is not that of their ids; the other fields are as in Page.

    `more` is what the tree of a post leaves out; None when the source does not tell it.
    """

    comments: tuple[FoundComment, ...]
    after: str | None
    observed_at: datetime
    rate_limit: RateLimit
    rejections: tuple[Rejection, ...] = ()
    more: tuple[More, ...] | None = None


@dataclass(frozen=True, slots=True)
class FoundSubreddit:
    """A subreddit that Reddit names. `over_18`: it is for adults only."""

    name: str
    over_18: bool


@dataclass(frozen=True, slots=True)
class SubredditPage:
    """The subreddits of one answer, in its order; the other fields are as in Page."""

    subreddits: tuple[FoundSubreddit, ...]
    after: str | None
    observed_at: datetime
    rate_limit: RateLimit
    rejections: tuple[Rejection, ...] = ()


AnyPage = Page | CommentPage | SubredditPage


class RateLimited(Retryable):
    """A 429. No request may start for max(`retry_after`, `rate_limit.reset`) seconds; either can be unknown."""

    def __init__(self, message: str, retry_after: float | None = None, rate_limit: RateLimit = UNKNOWN_LIMIT) -> None:
        super().__init__(message, retry_after)
        self.rate_limit = rate_limit


class Unavailable(Retryable):
    """No usable answer: 5xx, timeout, refused or broken connection, redirect, truncated JSON, HTML with 200.

    `reason` is a word for it if one of the names or ids of the request may be the reason (status_500, no_answer,
    unusable_answer); None if they cannot be, because Reddit was not reached or gave no token.
    """

    def __init__(self, message: str, reason: str | None = None, rate_limit: RateLimit = UNKNOWN_LIMIT) -> None:
        super().__init__(message)
        self.reason = reason
        self.rate_limit = rate_limit


class Blocked(Unavailable):
    """Reddit does not answer this address, whatever it asks for: wait long, and tell the operator.

    `block` says how: `forbidden` (a page 403), `page` (a page instead of the posts, with 200), `limit` (429 again and
    again, although each wait was kept).
    """

    def __init__(self, block: Block, message: str, rate_limit: RateLimit = UNKNOWN_LIMIT) -> None:
        super().__init__(message, None, rate_limit)
        self.block = block


class Unauthorized(Retryable):
    """Reddit refused the credentials or a fresh token. Retryable, because an operator can mend that at Reddit."""

    def __init__(self, message: str, rate_limit: RateLimit = UNKNOWN_LIMIT) -> None:
        super().__init__(message)
        self.rate_limit = rate_limit


class TokenRefused(Unauthorized):
    """Reddit refused a fresh token for this request. If it accepts it for others, something that it names is why."""


class SubredditUnavailable(Invalid):
    """A listing is refused because of its names. The caller can bisect the names to find the one that is the reason.

    One of them is private, banned, gone or unknown, or all together make the URL too long. `reason` is Reddit's word if
    it gave one (private, banned, quarantined, gated), otherwise ours (unknown, not_found, forbidden, legal, too_long).
    """

    def __init__(self, message: str, reason: str, rate_limit: RateLimit = UNKNOWN_LIMIT) -> None:
        super().__init__(message, field="subreddit")
        self.reason = reason
        self.rate_limit = rate_limit


# What a client raises for a request without an answer to use. Blocked and TokenRefused are among them.
NoAnswer = RateLimited | Unavailable | Unauthorized | SubredditUnavailable
NO_ANSWERS = (RateLimited, Unavailable, Unauthorized, SubredditUnavailable)


class RedditClient(Protocol):
    """A client that makes one request per call, without retries and without waiting: the caller keeps the budget.

    Raises RateLimited, Unavailable and Unauthorized, for listings also SubredditUnavailable, and nothing else but
    Invalid for what its capabilities exclude.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked."""
        ...

    async def listing(
        self,
        names: Sequence[str],
        *,
        sort: str = "new",
        period: str | None = None,
        limit: int = MAX_LIMIT,
        after: str | None = None,
    ) -> Page:
        """One page of the combined listing /r/a+b+c/<sort>, newest first for `new`; `after` is a fullname (t3_...).

        `period`: how old the posts of `top` may be, from `hour` to `all`; None: as Reddit has it, a day.
        """
        ...

    async def comments(self, names: Sequence[str], *, limit: int = MAX_LIMIT, after: str | None = None) -> CommentPage:
        """One page of the newest comments of /r/a+b+c, newest first; `after` is a fullname (t1_...)."""
        ...

    async def post_comments(self, post: str, *, limit: int = MAX_TREE) -> CommentPage:
        """The comments of the post with this id: the best `limit` of its tree, or the newest where there are no scores.

        Where the source tells the tree, each comment has its `depth`. Raises SubredditUnavailable when there is no such
        post, or its subreddit cannot be read.
        """
        ...

    async def comments_by_id(self, ids: Sequence[str]) -> CommentPage:
        """The comments with these ids (without `t1_`, at most MAX_IDS), in any order. Unknown ids are left out."""
        ...

    async def info(self, ids: Sequence[str]) -> Page:
        """The posts with these ids (without `t3_`, at most MAX_IDS), in any order. Unknown ids are left out."""
        ...

    async def popular_subreddits(self, *, limit: int = MAX_LIMIT) -> SubredditPage:
        """The first `limit` subreddits of Reddit's own list of popular ones."""
        ...

    async def close(self) -> None:
        """Release the connections. The client cannot be used afterwards."""
        ...
