"""How each request to Reddit ended: tells the budget, the fetch, the reports and the metrics. Makes no request."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import structlog

from signalflow.clock import steady
from signalflow.domain.budget import Budget, RateLimit
from signalflow.domain.fetch import Fetch
from signalflow.domain.planner import Planner
from signalflow.domain.standstill import Standstill, StandstillWatch, advice
from signalflow.metrics import POSTS_SET_ASIDE, REDDIT_REQUESTS, REDDIT_UNANSWERED_SINCE, SUBREDDITS_SET_ASIDE
from signalflow.reddit.protocol import (
    AnyPage,
    Blocked,
    NoAnswer,
    Page,
    RateLimited,
    SubredditUnavailable,
    TokenRefused,
    Unauthorized,
    Unavailable,
)
from signalflow.reddit.reddit_clock import RedditClock, moment
from signalflow.reddit.reports import Reports

# The label of the metric. `empty`: an answer that counts as none. `cancelled`: this process stops polling. `broken`:
# the client raised an error that its contract does not name.
Outcome = Literal[
    "ok", "empty", "refused", "blocked", "rate_limited", "unauthorized", "unavailable", "cancelled", "broken"
]
# The state of a subreddit, and the reason of a standstill, when Reddit shows none of the posts that are known.
EMPTY_ANSWER = "empty_answer"

log = structlog.get_logger()


class Outcomes:
    """Call one of `answered`, `unanswered`, `cancelled` and `broken` for each request, and `count` at its end.

    `suspect`: a fetch that was refused with a page, because of a name or because the address is blocked. The next
    request must be a probe, which shows which.
    """

    def __init__(
        self,
        planner: Planner,
        budget: Budget,
        reports: Reports,
        reddit_clock: RedditClock,
        clock: Callable[[], datetime],
    ) -> None:
        self._planner, self._budget, self._reports = planner, budget, reports
        self._reddit_clock, self._clock = reddit_clock, clock
        self._watch = StandstillWatch()
        self._standstill: Standstill | None = None
        self.suspect: Fetch | None = None

    def resume_block(self) -> None:
        """Tell what the poller before knew of a block: this one may not ask for up to an hour."""
        if block := self._budget.address_block(steady()):
            self._watch.blocked(block.how, self._seconds() - block.began_ago)
            self._tell_standstill()

    def answered(self, fetch: Fetch, page: AnyPage) -> Outcome:
        """Reddit has answered."""
        self._budget.succeeded(steady(), page.rate_limit)
        # So it does not block the address: the names were the reason.
        suspect, self.suspect = self.suspect, None
        if suspect is not None:
            self._refused(suspect, "forbidden")
        if isinstance(page, Page) and self._planner.counts_as_none(fetch, shows_posts=_shows_posts(fetch, page)):
            self._showed_nothing(fetch)
            return "empty"
        self._watch.answered()
        return "ok"

    def unanswered(self, fetch: Fetch, error: NoAnswer) -> Outcome:
        """There was no answer to use. The fetch is made again, sooner or later."""
        match error:
            case Blocked():
                return self._page_instead(fetch, error)
            case RateLimited():
                return self._rate_limited(fetch, error)
            case SubredditUnavailable():
                self._watch.failed(error.reason, self._seconds())
                self._budget.refused(steady(), error.rate_limit)
                self._refused(fetch, error.reason)
                return "refused"
            case TokenRefused():
                self._watch.failed("unauthorized", self._seconds())
                self._names_may_be_the_reason(fetch, "status_401", error)
                return "unauthorized"
            case Unauthorized():
                self._watch.failed("unauthorized", self._seconds())
                self._broke(fetch, error)
                return "unauthorized"
            case Unavailable():
                self._watch.failed(error.reason or "unreachable", self._seconds())
                if error.reason is None:
                    self._broke(fetch, error)
                else:
                    self._names_may_be_the_reason(fetch, error.reason, error)
                return "unavailable"

    def cancelled(self, fetch: Fetch) -> None:
        """This process stops polling: that is no reason for the next poller to wait."""
        self._budget.given_up()
        fetch.failed(self._reddit_clock.now())

    def broken(self, fetch: Fetch) -> None:
        """The budget must not count the request as in flight for ever, and the fetch must be made again."""
        self._budget.broke(steady())
        fetch.failed(self._reddit_clock.now())

    def count(self, fetch: Fetch, outcome: Outcome) -> None:
        """Bring the metrics up to date, and tell when Reddit begins or ends to answer nothing."""
        REDDIT_REQUESTS.labels(kind=fetch.kind, outcome=outcome).inc()
        SUBREDDITS_SET_ASIDE.set(len(self._planner.subreddits_set_aside))
        POSTS_SET_ASIDE.set(len(self._planner.posts_set_aside))
        self._tell_standstill()

    def _page_instead(self, fetch: Fetch, error: Blocked) -> Outcome:
        if error.block != "forbidden" or not fetch.may_be_refused or self._budget.address_block(steady()) is not None:
            return self._blocked(fetch, error.block, None, error.rate_limit)
        # A private subreddit may be the reason of the page.
        self._watch.failed("status_403", self._seconds())
        self._budget.refused(steady(), error.rate_limit)
        fetch.failed(self._reddit_clock.now())
        self.suspect = fetch
        return "refused"

    def _rate_limited(self, fetch: Fetch, error: RateLimited) -> Outcome:
        if block := self._budget.address_block(steady()):
            # The pause is over, and nothing shows that the block is.
            return self._blocked(fetch, block.how, error.retry_after, error.rate_limit)
        self._watch.failed("rate_limited", self._seconds())
        is_contradicted = self._budget.has_room(steady(), error.rate_limit)
        wait = self._budget.rate_limited(steady(), error.retry_after, error.rate_limit)
        if is_contradicted:
            self._suspect_names(fetch, "rate_limited")
        else:
            fetch.failed(self._reddit_clock.now())
        log.warning("rate_limited", kind=fetch.kind, wait_seconds=round(wait, 1))
        return "rate_limited"

    def _blocked(self, fetch: Fetch, how: str, retry_after: float | None, limit: RateLimit) -> Outcome:
        """Reddit does not answer this address: that is the fault of no subreddit."""
        self.suspect = None
        self._watch.blocked(how, self._seconds())
        wait = self._budget.address_blocked(steady(), how, retry_after, limit)
        fetch.failed(self._reddit_clock.now())
        log.warning("address_blocked", how=how, kind=fetch.kind, wait_seconds=round(wait, 1))
        return "blocked"

    def _refused(self, fetch: Fetch, reason: str) -> None:
        fetch.refused(self._reddit_clock.now())
        if fetch.tells_state:
            self._reports.refused(fetch.names, reason)
        log.warning("listing_refused", subreddits=len(fetch.names), first=fetch.names[:1], reason=reason)

    def _broke(self, fetch: Fetch, error: Unauthorized | Unavailable) -> None:
        self._budget.broke(steady(), error.rate_limit)
        fetch.failed(self._reddit_clock.now())
        log.warning("reddit_unavailable", kind=fetch.kind, error=str(error))

    def _names_may_be_the_reason(self, fetch: Fetch, reason: str, error: Unavailable | TokenRefused) -> None:
        """Reddit is out of order, or something that the request names is the reason."""
        self._budget.failed(steady(), error.rate_limit)
        self._suspect_names(fetch, reason)
        log.warning("reddit_unavailable", kind=fetch.kind, error=str(error))

    def _suspect_names(self, fetch: Fetch, reason: str) -> None:
        """Halve the fetch, or set its only name aside, if the answers to other requests show that it is the reason."""
        aside = self._planner.posts_set_aside
        if fetch.unanswered(self._reddit_clock.now()) and fetch.tells_state:
            self._reports.refused(fetch.names, reason)
        for id_ in self._planner.posts_set_aside - aside:
            log.warning("post_set_aside", id=id_, reason=reason)

    def _showed_nothing(self, fetch: Fetch) -> None:
        """Reddit need not be spared after such an answer: no breaker opens."""
        self._watch.failed(EMPTY_ANSWER, self._seconds())
        if fetch.showed_nothing(self._reddit_clock.now()):
            self._reports.refused(fetch.names, EMPTY_ANSWER)
        log.warning("answer_without_posts", kind=fetch.kind, subreddits=len(fetch.names), first=fetch.names[:1])

    def _tell_standstill(self) -> None:
        before, self._standstill = self._standstill, self._watch.standstill(self._seconds())
        if self._standstill == before:
            return
        REDDIT_UNANSWERED_SINCE.clear()
        if self._standstill is None:
            log.info("reddit_answers_again")
            return
        since, reason = self._standstill.since, self._standstill.reason
        REDDIT_UNANSWERED_SINCE.labels(reason=reason).set(since)
        log.error("reddit_answers_nothing", reason=reason, since=moment(since).isoformat(), what_to_do=advice(reason))

    def _seconds(self) -> float:
        return self._clock().timestamp()


def _shows_posts(fetch: Fetch, page: Page) -> bool:
    """Whether the answer shows a post that the fetch asked for. What could not be read has no subreddit to tell."""
    if fetch.is_refresh and page.rejections:
        return True
    return any(fetch.asked_for(post.id, post.subreddit.lower()) for post in page.posts)
