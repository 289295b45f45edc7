"""What the poller does for old posts and comments: reads from the database which to check, and publishes changes."""

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

import structlog
from prometheus_client import Counter

from signalflow.domain.comment_refresh import LOOKED_AT_UNTIL
from signalflow.domain.fetch import Findings
from signalflow.domain.known import HORIZON, Seen
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.sweep import CommentSweepFetch, PostSweepFetch, Sweep, SweepFetch
from signalflow.metrics import COMMENTS_SWEPT, POSTS_SWEPT
from signalflow.reddit.findings_publisher import FindingsPublisher
from signalflow.reddit.observations import seen, seen_comment, text_state
from signalflow.reddit.ports import TextSource
from signalflow.reddit.protocol import CommentPage, Page
from signalflow.reddit.reddit_clock import RedditClock, moment

log = structlog.get_logger()

# So many are read at once: enough for some minutes.
TEXTS_AT_ONCE = 500
# A round takes so many seconds at least: where little is stored, it need not be checked each minute.
SHORTEST_ROUND = 3600.0
# Seconds between looks whether more must be read.
LOOK_EVERY = 5.0

PageT = TypeVar("PageT", Page, CommentPage)
Publish = Callable[[Findings, PageT], Awaitable[Sequence[bool]]]


class SweepPolling(Generic[PageT]):
    """The sweep of posts or of comments of one poller.

    `seen` gives what a page shows, with the state that is compared. `older_than`: the sweep checks what is older than
    so many seconds. `swept` counts the checks.
    """

    def __init__(
        self,
        source: TextSource,
        sweep: Sweep,
        seen: Callable[[PageT], Sequence[Seen]],
        publish: Publish[PageT],
        clock: RedditClock,
        *,
        older_than: float,
        swept: Counter,
    ) -> None:
        self._source, self.sweep, self._clock = source, sweep, clock
        self._seen: Callable[[PageT], Sequence[Seen]] = seen
        self._publish: Publish[PageT] = publish
        self._older_than, self._swept = timedelta(seconds=older_than), swept
        self._told = ""
        self._is_begun = False
        self._round_began = -math.inf

    async def step(self) -> float:
        """Read the next ones when few are left, and tell how far the round is.

        Returns the seconds until the next step. Raises Retryable while the database is away.
        """
        if not self._is_begun:
            self._told = await self._source.sweep_reached()
            self.sweep.start(self._told)
            self._is_begun = True
        if self.sweep.reached != self._told:
            self._told = self.sweep.reached
            await self._source.mark_swept(self._told)
        if self.sweep.wants_texts:
            await self._read(self._clock.now())
        return LOOK_EVERY

    async def _read(self, now: float) -> None:
        if not self.sweep.read_to and now - self._round_began < SHORTEST_ROUND:
            return
        texts = await self._source.texts_after(self.sweep.read_to, moment(now) - self._older_than, TEXTS_AT_ONCE)
        if not self.sweep.read_to:
            self._round_began = now
        self.sweep.add(texts)
        if not texts and self.sweep.is_through:
            log.info("sweep_round_ended", of=self.sweep.kind)
            self.sweep.begin_round()

    async def take(self, fetch: SweepFetch, page: PageT) -> Findings:
        """Publish what changed of those that were asked for; returns what the answer meant.

        When this fails, the caller calls the fetch's `failed`.
        """
        findings = self.sweep.judge(fetch, self._seen(page), self._clock.now())
        findings.confirmed = await self._publish(findings, page)
        self.sweep.confirm(findings, findings.confirmed)
        self._swept.inc(len(fetch.texts))
        return findings


def sweep_of_posts(
    source: TextSource, ids_per_minute: float, answers: LastAnswers, publisher: FindingsPublisher, clock: RedditClock
) -> SweepPolling[Page]:
    """The sweep of posts."""

    async def publish(findings: Findings, page: Page) -> Sequence[bool]:
        return await publisher.publish(findings, page.posts, page.observed_at, since=page.observed_at)

    return SweepPolling(
        source,
        Sweep(PostSweepFetch, ids_per_minute, answers),
        lambda page: [
            seen(post)._replace(state=text_state(post.removed_by, post.edited_at, post.author)) for post in page.posts
        ],
        publish,
        clock,
        older_than=HORIZON,
        swept=POSTS_SWEPT,
    )


def sweep_of_comments(
    source: TextSource, ids_per_minute: float, answers: LastAnswers, publish: Publish[CommentPage], clock: RedditClock
) -> SweepPolling[CommentPage]:
    """The sweep of comments, which `publish` publishes."""
    return SweepPolling(
        source,
        Sweep(CommentSweepFetch, ids_per_minute, answers),
        lambda page: [
            seen_comment(found)._replace(
                state=text_state(found.comment.removed_by, found.comment.edited_at, found.comment.author)
            )
            for found in page.comments
        ],
        publish,
        clock,
        older_than=LOOKED_AT_UNTIL,
        swept=COMMENTS_SWEPT,
    )
