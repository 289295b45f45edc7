"""What the poller does for old posts: reads from the database which to check, and publishes what has changed."""

import math
from datetime import timedelta

import structlog

from signalflow.domain.fetch import Findings
from signalflow.domain.known import HORIZON
from signalflow.domain.sweep import Sweep, SweepFetch
from signalflow.events import Post
from signalflow.metrics import POSTS_SWEPT
from signalflow.reddit.findings_publisher import FindingsPublisher
from signalflow.reddit.observations import seen, text_state
from signalflow.reddit.ports import TextSource
from signalflow.reddit.protocol import Page
from signalflow.reddit.reddit_clock import RedditClock, moment

log = structlog.get_logger()

# Posts that are read at once: enough for some minutes.
POSTS_AT_ONCE = 500
# A round takes so many seconds at least: where few posts are stored, they need not be checked each minute.
SHORTEST_ROUND = 3600.0
# Seconds between looks whether posts must be read.
LOOK_EVERY = 5.0


class SweepPolling:
    """The sweep of one poller."""

    def __init__(self, source: TextSource, sweep: Sweep, publisher: FindingsPublisher, clock: RedditClock) -> None:
        self._source, self.sweep, self._publisher, self._clock = source, sweep, publisher, clock
        self._told = ""
        self._is_begun = False
        self._round_began = -math.inf

    async def step(self) -> float:
        """Read the next posts when few are left, and tell how far the round is.

        Returns the seconds until the next step. Raises Retryable while the database is away.
        """
        if not self._is_begun:
            self._told = await self._source.sweep_reached()
            self.sweep.start(self._told)
            self._is_begun = True
        if self.sweep.reached != self._told:
            self._told = self.sweep.reached
            await self._source.mark_swept(self._told)
        if self.sweep.wants_posts:
            await self._read(self._clock.now())
        return LOOK_EVERY

    async def _read(self, now: float) -> None:
        if not self.sweep.read_to and now - self._round_began < SHORTEST_ROUND:
            return
        before = moment(now) - timedelta(seconds=HORIZON)
        posts = await self._source.texts_after(self.sweep.read_to, before, POSTS_AT_ONCE)
        if not self.sweep.read_to:
            self._round_began = now
        self.sweep.add(posts)
        if not posts and self.sweep.is_through:
            log.info("sweep_round_ended")
            self.sweep.begin_round()

    async def take(self, fetch: SweepFetch, page: Page) -> Findings:
        """Publish those of the posts that changed; returns what the answer meant.

        When this fails, the caller calls the fetch's `failed`.
        """
        posts = [post for post in page.posts if fetch.asked_for(post.id, post.subreddit.lower())]
        items = [seen(post)._replace(state=_state(post)) for post in posts]
        findings = self.sweep.judge(fetch, items, self._clock.now())
        confirmed = await self._publisher.publish(findings, posts, page.observed_at, since=page.observed_at)
        self.sweep.confirm(findings, confirmed)
        findings.confirmed = confirmed
        POSTS_SWEPT.inc(len(fetch.posts))
        return findings


def _state(post: Post) -> tuple[object, ...]:
    return text_state(post.removed_by, post.edited_at, post.author)
