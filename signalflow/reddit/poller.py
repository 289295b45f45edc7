"""The poller: makes the requests that the planner asks for, within the budget, and publishes what came back.

It never ends by itself: whatever fails is logged, counted and tried again. One request is in flight at a time.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import structlog

from signalflow.clock import utcnow
from signalflow.domain.budget import Budget
from signalflow.domain.fetches import Fetch, Findings
from signalflow.domain.known import HORIZON, StoredPost
from signalflow.domain.planner import Planner
from signalflow.errors import SignalflowError
from signalflow.events import Post
from signalflow.metrics import (
    DISCOVERY_SECONDS,
    POSTS_DISCOVERED,
    POSTS_REFRESHED,
    REDDIT_BUDGET_USED,
    REDDIT_REQUESTS,
)
from signalflow.reddit.gap_writer import GapWriter
from signalflow.reddit.observations import envelope, seen
from signalflow.reddit.ports import ConfigSource, GapLedger, KnownSource, PostPublisher
from signalflow.reddit.protocol import (
    Page,
    RateLimited,
    RedditClient,
    SubredditUnavailable,
    Unauthorized,
    Unavailable,
    ask,
)
from signalflow.settings import Settings

log = structlog.get_logger()

# Longest sleep of the loop, in seconds: how late a changed timetable is noticed.
LONGEST_SLEEP = 1.0
# The sources of a start are tried again after this many seconds when the database is away.
DATABASE_RETRY = 5.0
# After a longer standstill Reddit's listings no longer reach back to what is known.
OLDEST_DAYS = 60.0
# How long publishing waits for a gap to be written down; after that polling goes on, and only the gap's own pages wait.
LEDGER_PATIENCE = 2.0
# A smaller difference between our reckoning and an answer's time is the way of the answer; a larger one is followed by so much an answer,
# in seconds.
CLOCK_TOLERANCE = 2.0
# What is asked only to hear the time; whether there is such a post does not matter.
ANY_ID = "1"
# The Date header counts whole seconds and a clock may be off by 2 s without being corrected; what was created later than that is invalid.
FUTURE_TOLERANCE = timedelta(seconds=5)


class Poller:
    """Polls for as long as `run` runs."""

    def __init__(
        self,
        settings: Settings,
        *,
        client: RedditClient,
        publisher: PostPublisher,
        ledger: GapLedger,
        config: ConfigSource,
        known: KnownSource,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._settings = settings
        self._client, self._publisher, self._ledger = client, publisher, ledger
        self._config, self._known = config, known
        self._clock = clock
        self.budget = Budget(settings.requests_per_minute)
        self.planner = Planner(
            listing_per_minute=settings.listing_requests_per_minute,
            refresh_ids_per_minute=settings.refresh_ids_per_minute,
        )
        self._gap_writer = GapWriter(self.planner.gaps, ledger, _moment)
        # Reddit's clock minus the steady one of this process, in seconds; its wall clock may be wrong.
        self._reddit_minus_steady = 0.0
        self._started_at = clock()
        self._starts: list[float] = []
        # What the configuration has not been told yet, and which subreddits it knows as readable.
        self._polled: dict[str, datetime] = {}
        self._states: dict[str, str] = {}
        self._readable: set[str] = set()
        self._run_id = uuid4().hex[:8]
        self._polls = 0

    async def run(self) -> None:
        """Take over from whoever polled before, then poll until cancelled."""
        await self._take_over()
        async with asyncio.TaskGroup() as group:
            group.create_task(_for_ever(self._step))
            group.create_task(_for_ever(self._gap_writer.step))
            group.create_task(_for_ever(self._exchange_config))

    def now(self) -> float:
        """The planner's clock: Reddit's, in epoch seconds, as it is that of posts, of looks and of gaps."""
        return _steady() + self._reddit_minus_steady

    async def _take_over(self) -> None:
        """Read subreddits, known posts and open gaps. Waits for the database: without them an old post would be published as new."""
        knows_time = False
        while True:
            try:
                subreddits = await self._config.subreddits()
                if not knows_time:
                    await self._learn_time()
                    knows_time = True
                known = await self._known_posts()
                gaps = await self._ledger.open_gaps()
            except SignalflowError as error:
                log.warning("take_over_waits", error=str(error))
                await asyncio.sleep(DATABASE_RETRY)
                continue
            now = self.now()
            self.planner.start(subreddits, known, gaps, now)
            log.info("poller_started", subreddits=len(subreddits), known_posts=len(known), open_gaps=len(gaps))
            return

    async def _learn_time(self) -> None:
        """Wait for an answer of Reddit, whatever it says, and take its time: by a wrong clock an overlap would seem to be proven."""
        while True:
            await asyncio.sleep(self.budget.wait(_steady()))
            page = await self._fetch(self.planner.fetch_of([ANY_ID]))
            if page is not None:
                self._reddit_minus_steady = page.observed_at.timestamp() - _steady()
                self._started_at = page.observed_at
                return

    def _follow_time(self, answered_at: datetime) -> None:
        """Follow Reddit's clock little by little: one odd answer must not turn the timetable over."""
        ahead = answered_at.timestamp() - self.now()
        if abs(ahead) > CLOCK_TOLERANCE:
            self._reddit_minus_steady += math.copysign(CLOCK_TOLERANCE, ahead)

    async def _known_posts(self) -> Sequence[StoredPost]:
        """The posts of the last two days; after a longer standstill of as many more days as it takes, so that the gap is seen."""
        days = HORIZON / 86400.0
        now = _moment(self.now())
        while not (known := await self._known.known_posts(now - timedelta(days=days))) and days < OLDEST_DAYS:
            days *= 2.0
        return known

    async def _step(self) -> float:
        """At most one request; returns the seconds to sleep until the next."""
        wait = self.budget.wait(_steady())
        if wait > 0:
            return min(wait, LONGEST_SLEEP)
        now = self.now()
        fetch = self.planner.next(now, self.budget.spacing(_steady()))
        if fetch is None:
            return min(self.planner.wake(now), LONGEST_SLEEP)
        page = await self._fetch(fetch)
        if page is not None:
            try:
                await self._take(fetch, page)
            except BaseException:
                # The answer is lost: what it was about is asked for again.
                fetch.failed(self.now())
                raise
        return 0.0

    async def _fetch(self, fetch: Fetch) -> Page | None:
        """Make the request; None when there was no answer, which budget and planner have been told then."""
        self.budget.start(_steady())
        self._count_start()
        outcome = "broken"
        try:
            page = await ask(self._client, fetch.request)
            self.budget.succeeded(_steady(), page.rate_limit)
            outcome = "ok"
            return page
        except RateLimited as error:
            outcome = "rate_limited"
            wait = self.budget.rate_limited(_steady(), error.retry_after, error.rate_limit)
            fetch.failed(self.now())
            log.warning("rate_limited", kind=fetch.kind, wait_seconds=round(wait, 1))
        except SubredditUnavailable as error:
            outcome = "refused"
            self.budget.refused(_steady())
            fetch.refused(self.now())
            if len(fetch.names) == 1:
                self._readable.discard(fetch.names[0])
                self._states[fetch.names[0]] = error.reason
            log.warning("listing_refused", subreddits=len(fetch.names), first=fetch.names[:1], reason=error.reason)
        except (Unavailable, Unauthorized) as error:
            outcome = "unauthorized" if isinstance(error, Unauthorized) else "unavailable"
            self.budget.broke(_steady())
            fetch.failed(self.now())
            log.warning("reddit_unavailable", kind=fetch.kind, error=str(error))
        finally:
            if outcome == "broken":
                # Cancelled, or an error that the client's contract does not name: the gate must not stay shut, nor the fetch be lost.
                self.budget.broke(_steady())
                fetch.failed(self.now())
            REDDIT_REQUESTS.labels(kind=fetch.kind, outcome=outcome).inc()
        return None

    async def _take(self, fetch: Fetch, page: Page) -> None:
        """Judge an answer, record a gap that it opens, publish, and tell the planner what was confirmed."""
        self._follow_time(page.observed_at)
        posts = [post for post in page.posts if post.created_utc <= page.observed_at + FUTURE_TOLERANCE]
        if len(posts) < len(page.posts):
            log.warning("posts_from_the_future", count=len(page.posts) - len(posts), kind=fetch.kind)
        findings = self.planner.judge(fetch, [seen(post) for post in posts], page.after, self.now())
        await self._gap_writer.flushed(LEDGER_PATIENCE)
        confirmed = await self._publish(fetch, findings, posts, page.observed_at)
        is_complete = self.planner.confirm(findings, confirmed, self.now())
        # A combined listing silently leaves out members that it refuses: only a post, or an answer of its own, shows that one is readable.
        shown = {post.subreddit.lower() for post in posts}
        for name in fetch.names:
            if is_complete:
                self._polled[name] = page.observed_at
            if name not in self._readable and (len(fetch.names) == 1 or name.lower() in shown):
                self._readable.add(name)
                self._states[name] = "ok"
        self._gap_writer.nudge()

    async def _publish(
        self, fetch: Fetch, findings: Findings, posts: Sequence[Post], observed_at: datetime
    ) -> list[bool]:
        if not findings.decisions:
            return []
        self._polls += 1
        emitted_at, poll_id = self._clock(), f"{self._run_id}-{self._polls}"
        envelopes = [
            envelope(posts[item], is_new, with_body, observed_at, emitted_at, poll_id)
            for item, is_new, with_body in findings.decisions
        ]
        confirmed = await self._publisher.publish(envelopes)
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            if not is_sent:
                continue
            (POSTS_DISCOVERED if decision.is_new else POSTS_REFRESHED).inc()
            created = posts[decision.item].created_utc
            # What was there before this poller, or was found in a gap, says nothing about how quick the polling is.
            if decision.is_new and fetch.shows_discovery_delay and created > self._started_at:
                DISCOVERY_SECONDS.observe(max((observed_at - created).total_seconds(), 0.0))
        return confirmed

    async def _exchange_config(self) -> float:
        """From time to time read the configured subreddits again, and report on them; an unreadable table keeps the last good ones."""
        await asyncio.sleep(self._settings.config_refresh_seconds)
        subreddits = await self._config.subreddits()
        if self.planner.configure(subreddits, self.now()):
            log.info("config_changed", subreddits=len(subreddits))
        # A successor relies on what was polled: before a gap is written down, its page does not count.
        polled = dict(self._polled) if self.planner.gaps.is_recorded else {}
        states = dict(self._states)
        await self._config.report(polled, states)
        self._polled = {name: at for name, at in self._polled.items() if polled.get(name) != at}
        self._states = {name: state for name, state in self._states.items() if states.get(name) != state}
        return 0.0

    def _count_start(self) -> None:
        now = _steady()
        self._starts = [start for start in self._starts if now - start < 60.0] + [now]
        REDDIT_BUDGET_USED.set(len(self._starts))


async def _for_ever(step: Callable[[], Awaitable[float]]) -> None:
    """Repeat a step, sleeping as long as it says. No error ends it: it is logged, and the step is tried again."""
    while True:
        try:
            pause = await step()
        except SignalflowError as error:
            log.warning("poller_step_failed", error=str(error), error_type=type(error).__name__)
            pause = LONGEST_SLEEP
        except Exception:  # a fault of ours in one answer must not end all polling; it is logged in full
            log.exception("poller_step_failed_unexpectedly")
            pause = LONGEST_SLEEP
        await asyncio.sleep(pause)


def _moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)


def _steady() -> float:
    return asyncio.get_running_loop().time()
