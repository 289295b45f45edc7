"""The poller: makes the requests that the planner decides on, within the budget, and publishes what came back.

It never ends by itself: whatever fails is logged, counted and tried again. One request is in flight at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from itertools import count

import structlog

from signalflow import tracing
from signalflow.clock import steady, utcnow
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.budget import Budget
from signalflow.domain.comment_planner import CommentPlanner
from signalflow.domain.fetch import Client, Fetch
from signalflow.domain.lease import may_start
from signalflow.domain.planner import Planner, listing_share
from signalflow.domain.polling_runs import PollingRuns
from signalflow.domain.run_history import RunBook
from signalflow.domain.sweep import SweepFetch
from signalflow.errors import SignalflowError
from signalflow.metrics import (
    POSTS_NOT_SHOWN,
    POSTS_SET_ASIDE,
    REDDIT_BUDGET,
    REDDIT_BUDGET_USED,
    REDDIT_UNANSWERED_SINCE,
    SUBREDDITS_SET_ASIDE,
)
from signalflow.reddit.comment_polling import CommentPolling
from signalflow.reddit.discoveries import Discoveries
from signalflow.reddit.erasures import Erasures
from signalflow.reddit.findings_publisher import FindingsPublisher
from signalflow.reddit.gap_writer import FirstLookWriter, GapWriter
from signalflow.reddit.known_posts import latest_posts, posts_of
from signalflow.reddit.observations import seen
from signalflow.reddit.once import OnceRuns
from signalflow.reddit.outcomes import Outcome, Outcomes
from signalflow.reddit.ports import (
    CommentPorts,
    ConfigSource,
    DiscoverySink,
    ErasureSource,
    GapLedger,
    KnownSource,
    Permit,
    PostPublisher,
    RunSource,
    TextSource,
)
from signalflow.reddit.protocol import (
    NO_ANSWERS,
    AnyPage,
    Blocked,
    CommentPage,
    RateLimited,
    RedditClient,
    Rejection,
    SubredditPage,
    Unavailable,
)
from signalflow.reddit.reddit_clock import CLOCK_STEP, RedditClock, moment
from signalflow.reddit.rejections import Rejections
from signalflow.reddit.reports import Reports
from signalflow.reddit.sweep_polling import sweep_of_comments, sweep_of_posts
from signalflow.settings import Settings

log = structlog.get_logger()

# Longest sleep of the loop, in seconds: a changed configuration takes effect within this time.
LONGEST_SLEEP = 1.0
# Publishing waits this many seconds for the ledger to record a gap. Then polling goes on; only the gap's pages wait.
LEDGER_PATIENCE = 2.0


class Poller:
    """Polls while `run` runs. The planner's clock is Reddit's: posts, polls and gaps have its times."""

    def __init__(
        self,
        settings: Settings,
        *,
        client: RedditClient,
        publisher: PostPublisher,
        ledger: GapLedger,
        first_looks: GapLedger,
        config: ConfigSource,
        known: KnownSource,
        discovery: DiscoverySink,
        runs: RunSource,
        comments: CommentPorts,
        texts: TextSource,
        erasures: ErasureSource,
        budget: Budget,
        permit: Permit,
        run_book: RunBook,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._settings = settings
        self._client: Client[AnyPage] = client
        self._ledger, self._first_looks = ledger, first_looks
        self._publisher = FindingsPublisher(publisher, clock)
        self._config, self._known = config, known
        self._clock = clock
        self.budget, self._permit = budget, permit
        self._can = client.capabilities
        self.planner = Planner(
            listing_per_minute=self._listings_per_minute(),
            refresh_ids_per_minute=settings.refresh_ids_per_minute,
            answers_ids=self._can.answers_ids,
            discover_every=settings.discover_minutes * 60.0,
            lists_subreddits=self._can.lists_subreddits,
            first_look_seconds=settings.first_look_hours * 3600.0,
        )
        self._discoveries = Discoveries(discovery, self.planner.watchlist.__contains__)
        self._gap_writer = GapWriter(self.planner.gaps, ledger)
        self._first_look_writer = FirstLookWriter(self.planner.first_looks.gaps, first_looks)
        self._reports = Reports(config)
        self._rejections = Rejections()
        self._erasures = Erasures(erasures, publisher, comments.publisher, clock)
        self._reddit_clock = RedditClock()
        self._outcomes = Outcomes(self.planner, budget, self._reports, self._reddit_clock, clock)
        self._comments = CommentPolling(
            comments,
            CommentPlanner(
                self._listings_per_minute(),
                self.planner.answers,
                answers_ids=self._can.answers_ids,
                comments_per_post=settings.comments_per_post,
                takes_off=settings.comments_velocity,
            ),
            self._rejections,
            self._reports,
            self._reddit_clock,
            clock,
        )
        self._runs = OnceRuns(runs, self.planner.ranked, self._comments.planner.once)
        answers_ids = self._can.answers_ids
        self._post_sweep = sweep_of_posts(
            texts,
            settings.sweep_ids_per_minute if answers_ids else 0.0,
            self.planner.answers,
            self._publisher,
            self._reddit_clock,
        )
        self._comment_sweep = sweep_of_comments(
            comments.texts,
            settings.sweep_comments_per_minute if answers_ids else 0.0,
            self.planner.answers,
            lambda findings, page: self._comments.publish(findings, page.comments, page.observed_at),
            self._reddit_clock,
        )
        self._sweeps = (self._post_sweep.sweep, self._comment_sweep.sweep)
        self._started_at = clock()
        self._history = PollingRuns(run_book, steady())
        # When the requests of the last minute started.
        self._starts: list[float] = []

    async def run(self) -> None:
        """Take over from the poller before, then poll until cancelled."""
        try:
            self._outcomes.resume_block()
            await self._take_over()
            async with asyncio.TaskGroup() as group:
                group.create_task(_for_ever(self._step))
                group.create_task(_for_ever(self._gap_writer.step))
                group.create_task(_for_ever(self._first_look_writer.step))
                group.create_task(_for_ever(self._comments.gap_writer.step))
                group.create_task(_for_ever(self._exchange_config))
                group.create_task(_for_ever(self._runs.step))
                group.create_task(_for_ever(self._comments.post_runs.step))
                group.create_task(_for_ever(self._post_sweep.step))
                group.create_task(_for_ever(self._comment_sweep.step))
                group.create_task(_for_ever(self._erasures.step))
        finally:
            # The next poller, perhaps in another process, counts anew.
            SUBREDDITS_SET_ASIDE.set(0)
            POSTS_SET_ASIDE.set(0)
            POSTS_NOT_SHOWN.set(0)
            REDDIT_UNANSWERED_SINCE.clear()
            self._history.stop(steady())

    async def _take_over(self) -> None:
        """Read subreddits, known posts, open gaps, and what was erased on request.

        Waits for the database: without the known posts an old post would be published as new, and without the erasures
        what is erased would be published again.
        """
        knows_time = False
        for failures in count(1):
            try:
                subreddits = await self._config.subreddits()
                if not knows_time:
                    await self._learn_time()
                    knows_time = True
                known = await latest_posts(self._known, self._reddit_clock.now())
                gaps = await self._ledger.open_gaps()
                first_looks = await self._first_looks.open_gaps()
                await self._comments.take_over(subreddits)
                await self._erasures.read()
            except SignalflowError as error:
                log.warning("take_over_waits", error=str(error))
                await asyncio.sleep(WHILE_AWAY.after(failures))
                continue
            self.planner.start(subreddits, known, gaps, self._reddit_clock.now(), first_looks)
            log.info("poller_started", subreddits=len(subreddits), known_posts=len(known), open_gaps=len(gaps))
            return

    async def _learn_time(self) -> None:
        """Set the clock from any answer of Reddit. With a wrong clock a page could seem to overlap when it does not."""
        probe = self.planner.probe()
        while True:
            while (wait := self._wait()) > 0:
                self._history.turn(steady())
                await asyncio.sleep(wait)
            page = await self._fetch(probe)
            if page is not None:
                self._reddit_clock.set(page.observed_at)
                self._started_at = page.observed_at
                return

    async def _step(self) -> float:
        """Make at most one request; returns the seconds to sleep until the next step."""
        self._history.turn(steady())
        if may_start(self._permit.until(), steady()):
            # The time of an answer may be this much ahead of the clock.
            await self._erasures.tell(moment(self._reddit_clock.now() + CLOCK_STEP))
        wait = self._wait()
        if wait > 0:
            return wait
        now = self._reddit_clock.now()
        if self._can.per_minute is not None:
            # Each answer may have told another pace.
            self.planner.set_listing_pace(self._listings_per_minute(), now)
            self._comments.planner.set_listing_pace(self._listings_per_minute(), now)
        fetch = self._next(now) if self._outcomes.suspect is None else self.planner.probe()
        if fetch is None:
            return min(self.planner.wake(now), self._comments.planner.wake(now), LONGEST_SLEEP)
        with tracing.request(fetch.kind):
            page = await self._fetch(fetch)
            if page is not None:
                try:
                    await self._take(fetch, page)
                except BaseException:
                    # The answer is lost: the fetch is made again.
                    self._history.lost(fetch)
                    fetch.failed(self._reddit_clock.now())
                    raise
        return 0.0

    def _next(self, now: float) -> Fetch | None:
        """The fetch to make now: of comments when it is their turn or nothing else is due, otherwise of posts.

        Old posts and comments are checked when nothing else is due, or when they have waited for too long.
        """
        comments = self._comments.planner
        if (check := self._check(now, only_overdue=True)) is not None:
            return check
        fetch = comments.next(now) if comments.is_its_turn else None
        spacing = self.budget.spacing(steady())
        if fetch is None and (fetch := self.planner.next(now, spacing)) is not None:
            comments.note_other()
        fetch = comments.next(now) if fetch is None else fetch
        return self._check(now) if fetch is None and self.planner.has_room(now, spacing) else fetch

    def _check(self, now: float, *, only_overdue: bool = False) -> Fetch | None:
        """The next check of old posts or comments, or None when none is due."""
        due = (sweep.next(now) for sweep in self._sweeps if not only_overdue or sweep.is_overdue(now))
        return next((check for check in due if check is not None), None)

    async def _fetch(self, fetch: Fetch) -> AnyPage | None:
        """Make the request. Returns None when there was no answer; then the budget and the fetch know it already."""
        self.budget.start(steady())
        self._count_start()
        self._history.began(fetch, steady())
        outcome: Outcome = "broken"
        try:
            page = await self._while_permitted(fetch.request.ask(self._client))
            outcome = self._outcomes.answered(fetch, page)
            return page if outcome == "ok" else None
        except NO_ANSWERS as error:
            outcome = self._outcomes.unanswered(fetch, error)
            if isinstance(error, Blocked | RateLimited):
                # The next poller must wait as long as this one.
                await self._permit.record()
        except asyncio.CancelledError:
            outcome = "cancelled"
            self._outcomes.cancelled(fetch)
            raise
        finally:
            if outcome == "broken":
                self._outcomes.broken(fetch)
            self._outcomes.count(fetch, outcome)
            self._history.answered(fetch, outcome, steady())
        return None

    def _wait(self) -> float:
        """Seconds until a request may start, at most LONGEST_SLEEP; 0 when it may start now."""
        now = steady()
        if not may_start(self._permit.until(), now):
            return LONGEST_SLEEP
        return min(self.budget.wait(now), LONGEST_SLEEP)

    async def _while_permitted(self, request: Coroutine[None, None, AnyPage]) -> AnyPage:
        """The answer to a request. It is broken off when the permit ends, since another worker may poll then."""
        task = asyncio.create_task(request)
        try:
            while not task.done():
                left = self._permit.until() - steady()
                if left <= 0:
                    raise Unavailable("no answer before the permit to poll ended")
                await asyncio.wait({task}, timeout=left)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _take(self, fetch: Fetch, page: AnyPage) -> None:
        """Judge an answer, record a gap that it opens, publish, and tell the planner what was confirmed."""
        self._reddit_clock.follow(page.observed_at)
        page = self._erasures.taken_out_of(page)
        if isinstance(page, CommentPage):
            if isinstance(fetch, SweepFetch):
                self._rejections.note(page.rejections)
                findings = await self._comment_sweep.take(fetch, page)
            else:
                findings = await self._comments.take(fetch, page)
            self._history.took(findings, steady(), of_comments=True)
            return
        if isinstance(page, SubredditPage):
            self._rejections.note(page.rejections)
            findings = self._discoveries.take_popular(fetch, page, self._reddit_clock.now())
            self._history.took(findings, steady(), of_comments=False)
            return
        if isinstance(fetch, SweepFetch):
            self._rejections.note(page.rejections)
            self._history.took(await self._post_sweep.take(fetch, page), steady(), of_comments=False)
            return
        posts = [post for post in page.posts if fetch.asked_for(post.id, post.subreddit.lower())]
        self._rejections.note(page.rejections)
        self._rejections.note(
            Rejection(post.id, "not_asked", "the request did not ask for it")
            for post in page.posts
            if not fetch.asked_for(post.id, post.subreddit.lower())
        )
        findings = self.planner.judge(
            fetch,
            [seen(post) for post in posts],
            page.after,
            self._reddit_clock.now(),
            rejected=[rejection.key for rejection in page.rejections],
        )
        await self._gap_writer.flushed(LEDGER_PATIENCE)
        confirmed = await self._publisher.publish(findings, posts, page.observed_at, since=self._started_at)
        is_complete = self.planner.confirm(findings, confirmed, self._reddit_clock.now())
        for post in posts:
            if known := self.planner.posts.get(post.id):
                self._comments.planner.trees.note(known, self._reddit_clock.now())
        self._history.took(findings, steady(), of_comments=False)
        self._discoveries.take(fetch, findings, posts, page.observed_at)
        self._reports.answered(fetch.names, posts, page.observed_at, is_complete=is_complete)
        self._gap_writer.wake()
        self._first_look_writer.wake()

    async def _exchange_config(self) -> float:
        """Read the configured subreddits again every `config_refresh_seconds`, and report on them.

        The subreddits stay as they are while the table cannot be read.
        """
        await asyncio.sleep(self._settings.config_refresh_seconds)
        subreddits = await self._config.subreddits()
        known = await posts_of(self._known, self.planner.arriving(subreddits), self._reddit_clock.now())
        if self.planner.configure(subreddits, self._reddit_clock.now(), known):
            log.info("config_changed", subreddits=len(subreddits))
        await self._comments.configure(subreddits)
        await self._tell_not_shown()
        await self._discoveries.send()
        # A successor begins from the reported polls. So they are reported only when every gap is recorded.
        is_recorded = self.planner.gaps.is_recorded and self.planner.first_looks.gaps.is_recorded
        await self._reports.send(with_polls=is_recorded, with_comment_polls=self._comments.planner.gaps.is_recorded)
        return 0.0

    async def _tell_not_shown(self) -> None:
        """Tell the database which posts Reddit no longer shows.

        All of them each time: a post may be stored later than it is missed.
        """
        not_shown = self.planner.not_shown
        POSTS_NOT_SHOWN.set(len(not_shown))
        if not_shown:
            await self._known.mark_not_shown({id_: moment(since) for id_, since in not_shown.items()})

    def _listings_per_minute(self) -> float:
        """The settings say it for a source that needs a budget; the pace of another one is its own."""
        if self._can.per_minute is None:
            return self._settings.listing_requests_per_minute
        return listing_share(self.budget.per_minute)

    def _count_start(self) -> None:
        now = steady()
        self._starts = [start for start in self._starts if now - start < 60.0] + [now]
        REDDIT_BUDGET_USED.set(len(self._starts))
        REDDIT_BUDGET.set(self.budget.per_minute)


async def _for_ever(step: Callable[[], Awaitable[float]]) -> None:
    """Repeat a step, and sleep between for as long as it returns. An error is logged, and the step is tried again."""
    while True:
        try:
            pause = await step()
        except SignalflowError as error:
            log.warning("poller_step_failed", error=str(error), error_type=type(error).__name__)
            pause = LONGEST_SLEEP
        except Exception:  # a bug that one answer triggers must not end all polling; it is logged in full
            log.exception("poller_step_failed_unexpectedly")
            pause = LONGEST_SLEEP
        await asyncio.sleep(pause)
