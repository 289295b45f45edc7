"""What planner and poller know of every fetch: the request to Reddit, and the meaning of its answer. Pure."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeVar

from signalflow.domain.known import Decision, KnownPost, Seen
from signalflow.domain.ranked_listings import Place
from signalflow.domain.run_history import Job
from signalflow.domain.sorts import NEW
from signalflow.domain.suspicion import Kind
from signalflow.domain.words import ObservationMode

PageT = TypeVar("PageT")
PageT_co = TypeVar("PageT_co", covariant=True)


# The most posts of a page.
PAGE = 100


class Client(Protocol[PageT_co]):
    """What a request needs of a client of Reddit (`signalflow.reddit.protocol.RedditClient`)."""

    async def listing(
        self,
        names: Sequence[str],
        *,
        sort: str = "new",
        period: str | None = None,
        limit: int = PAGE,
        after: str | None = None,
    ) -> PageT_co:
        """One page of a combined listing."""
        ...

    async def info(self, ids: Sequence[str]) -> PageT_co:
        """The posts with these ids."""
        ...

    async def comments(self, names: Sequence[str], *, limit: int = PAGE, after: str | None = None) -> PageT_co:
        """One page of a combined listing of comments."""
        ...

    async def post_comments(self, post: str, *, limit: int) -> PageT_co:
        """The tree of a post's comments, at most `limit` of them."""
        ...

    async def comments_by_id(self, ids: Sequence[str]) -> PageT_co:
        """The comments with these ids."""
        ...

    async def popular_subreddits(self, *, limit: int) -> PageT_co:
        """The first `limit` of Reddit's list of popular subreddits."""
        ...


class Request(Protocol):
    """One request to Reddit."""

    @property
    def names(self) -> tuple[str, ...]:
        """The subreddits whose listing is requested; none for a request by id."""
        ...

    async def ask(self, client: Client[PageT]) -> PageT:
        """Make the request. Raises what the client raises."""
        ...


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """One page of the combined listing of these subreddits, below the fullname `after` or from the top.

    `period`: how old its posts may be, for `top` (`hour` to `all`).
    """

    names: tuple[str, ...]
    after: str | None = None
    sort: str = "new"
    period: str | None = None
    limit: int = PAGE

    async def ask(self, client: Client[PageT]) -> PageT:
        """See Request."""
        return await client.listing(self.names, sort=self.sort, period=self.period, limit=self.limit, after=self.after)


@dataclass(frozen=True, slots=True)
class CommentsRequest:
    """One page of the newest comments of these subreddits, below the fullname `after` or from the top."""

    names: tuple[str, ...]
    after: str | None = None
    limit: int = PAGE

    async def ask(self, client: Client[PageT]) -> PageT:
        """See Request."""
        return await client.comments(self.names, limit=self.limit, after=self.after)


@dataclass(frozen=True, slots=True)
class PostCommentsRequest:
    """The tree of a post's comments, at most `limit` of them."""

    post: str
    limit: int

    @property
    def names(self) -> tuple[str, ...]:
        """See Request."""
        return ()

    async def ask(self, client: Client[PageT]) -> PageT:
        """See Request."""
        return await client.post_comments(self.post, limit=self.limit)


@dataclass(frozen=True, slots=True)
class PostsRequest:
    """The posts with these ids."""

    ids: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """See Request."""
        return ()

    async def ask(self, client: Client[PageT]) -> PageT:
        """See Request."""
        return await client.info(self.ids)


@dataclass(frozen=True, slots=True)
class CommentsByIdRequest:
    """The comments with these ids."""

    ids: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """See Request."""
        return ()

    async def ask(self, client: Client[PageT]) -> PageT:
        """See Request."""
        return await client.comments_by_id(self.ids)


@dataclass(frozen=True, slots=True)
class PopularSubredditsRequest:
    """The first page of Reddit's list of popular subreddits."""

    limit: int = PAGE

    @property
    def names(self) -> tuple[str, ...]:
        """See Request."""
        return ()

    async def ask(self, client: Client[PageT]) -> PageT:
        """See Request."""
        return await client.popular_subreddits(limit=self.limit)


class Fetch(ABC):
    """One request to Reddit and the meaning of its answer. Times are seconds of the planner's clock."""

    # The label of this kind in metrics and logs.
    kind: ClassVar[str]
    # How an observation of a post that is known already is marked.
    mode_of_known: ClassVar[ObservationMode] = "refresh"
    # Whether the age of a new post in the answer measures how quickly polling finds posts.
    shows_discovery_delay: ClassVar[bool] = False
    # Whether the answer shows the newest posts of its subreddits, whichever these are.
    shows_newest: ClassVar[bool] = False
    # Whether the request is made to observe posts that are known already. A listing shows known posts at no extra cost.
    is_refresh: ClassVar[bool] = False
    # Whether comments that are known are published again, because the answer tells more of them.
    observes_known: ClassVar[bool] = False
    # What is requested, as far as it matters for the question whether Reddit answers other requests.
    request_kind: ClassVar[Kind] = "listing"
    # Whether its posts tell how far a subreddit was read. Posts of a listing by rank do not: others lie between them.
    is_in_order: ClassVar[bool] = True
    # Whether the answer also shows subreddits that are not watched, so that these can be discovered.
    shows_others: ClassVar[bool] = False
    # Whether what is new in the answer was there before, and Reddit did not show it.
    finds_late: ClassVar[bool] = False
    # Whether a refusal of its only name says that the subreddit cannot be read.
    tells_state: ClassVar[bool] = True

    @property
    @abstractmethod
    def request(self) -> Request:
        """What to ask Reddit."""

    @property
    def names(self) -> tuple[str, ...]:
        """The subreddits whose listing is requested; none for a fetch by id."""
        return self.request.names

    @property
    def may_be_refused(self) -> bool:
        """Whether what is requested may be the reason of a refusal, and not the client's address."""
        return bool(self.names)

    def asked_for(self, id_: str, subreddit: str) -> bool:
        """Whether a post of this subreddit (in lower case) belongs into the answer."""
        return not self.names or subreddit in self.names

    def mode(self, *, is_new: bool) -> ObservationMode:
        """How an observation from this answer is marked."""
        return "new" if is_new else self.mode_of_known

    @property
    def post_sort(self) -> str:
        """The name of the listing that observations came from."""
        return NEW

    @property
    def job(self) -> Job | None:
        """What the request is a part of and has an end, as it stands now; None for what polling does all the time."""
        return None

    def places(self, items: Sequence[Seen]) -> Sequence[Place]:
        """Where each item of the answer stands in its listing; empty when its order is not one of ranks."""
        return ()

    def is_news(self, id_: str, place: Place, now: float) -> bool:
        """Whether a known post is published because of its place."""
        return False

    def note_told(self, id_: str, place: Place, now: float) -> None:  # noqa: B027, most fetches have no places
        """The brokers confirmed an observation with this place."""

    def note_untold(self, now: float) -> None:  # noqa: B027, most fetches have no places
        """The place of a post is news, and the post was published too recently to be published again."""

    def note_tree(
        self,
        comments: Sequence[tuple[str, str | None, int | None]],
        left_out: Sequence[tuple[Sequence[str], int]] | None,
    ) -> Mapping[str, int]:
        """The comments of the answer (id, fullname of the parent, depth if it is told), and those that it leaves out.

        Of what is left out there are groups: the ids that are known, and how many comments there are; None when the
        answer does not tell it. Returns the depths that follow from the tree.
        """
        return {}

    @property
    def not_followed(self) -> int:
        """How many comments of this fetch's tree the answers left out so far, for which there was no room."""
        return 0

    @abstractmethod
    def new_since(self, now: float) -> float:
        """A post that is not known counts as new when it was created after this time."""

    def new_until(self) -> float:
        """A post that was created after this time is left to other fetches."""
        return math.inf

    def check_overlap(self, items: Sequence[Seen], *, is_whole: bool, now: float) -> bool:
        """Whether the answer overlaps with what was known, so that no post between can be missing. False opens a gap.

        `is_whole`: the listing ends with this answer.
        """
        return True

    def doubts_nothing(self, posts: Mapping[str, KnownPost]) -> bool:
        """Whether an answer without a post counts as none, because of the known `posts`."""
        return False

    @abstractmethod
    def confirm(self, findings: "Findings", *, new: int, is_complete: bool, now: float) -> bool:
        """Record the answer after its posts were published.

        `new` is the number of new posts that the brokers confirmed. `is_complete`: they confirmed every new post.
        Returns whether a successor may begin from this answer: it showed the top of a listing, and is complete.
        """

    @abstractmethod
    def failed(self, now: float) -> None:
        """There was no answer, and what the request names is not the reason: the same request is made again later."""

    def unanswered(self, now: float) -> bool:
        """There was no usable answer, and what the request names may be the reason.

        Returns whether its only name is the reason, as far as the answers to other requests show.
        """
        self.failed(now)
        return False

    def showed_nothing(self, now: float) -> bool:
        """The answer had no post, though `doubts_nothing`. Returns what `unanswered` returns."""
        return self.unanswered(now)

    def refused(self, now: float) -> None:
        """Reddit refused the request because of one of its names."""
        self.failed(now)


@dataclass(slots=True)
class Findings:
    """What an answer means: its items, which of them to publish, and whether an overlap proves that none is missing.

    `rejected` are the keys of items that could not be read. `confirmed` tells of each decision, once it was published,
    whether the brokers have it.
    """

    fetch: Fetch
    items: Sequence[Seen]
    after: str | None
    seen_at: float
    rejected: frozenset[str | int] = frozenset()
    decisions: list[Decision] = field(default_factory=list)
    is_proven: bool = True
    places: Sequence[Place] = ()
    confirmed: Sequence[bool] = ()

    @property
    def published(self) -> int:
        """How many observations of the answer the brokers have."""
        return sum(self.confirmed)

    @property
    def published_new(self) -> int:
        """How many of these are of what was unknown before."""
        return sum(
            decision.is_new and is_sent for decision, is_sent in zip(self.decisions, self.confirmed, strict=True)
        )

    def place(self, item: int) -> Place | None:
        """Where the item with this number stands in a listing by rank; None where there are no ranks."""
        return self.places[item] if self.places else None
