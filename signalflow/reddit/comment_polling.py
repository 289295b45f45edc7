"""What the poller does with listings of comments: judges answers, records gaps, and publishes what is new.

Answers to requests by id are published, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import structlog
from msgspec import structs

from signalflow.domain.comment_planner import CommentPlanner, StoredComment
from signalflow.domain.fetch import Fetch, Findings
from signalflow.domain.overlap import ANCHOR_SIZE, UNSETTLED
from signalflow.domain.subreddits import Subreddit
from signalflow.metrics import COMMENTS_DISCOVERED, COMMENTS_NOT_FOLLOWED
from signalflow.reddit.gap_writer import GapWriter
from signalflow.reddit.observations import comment_envelope, seen_comment
from signalflow.reddit.ports import CommentPorts
from signalflow.reddit.post_runs import PostRuns
from signalflow.reddit.protocol import CommentPage, FoundComment, Rejection
from signalflow.reddit.reddit_clock import RedditClock, moment
from signalflow.reddit.rejections import Rejections
from signalflow.reddit.reports import Reports

log = structlog.get_logger()

# Publishing waits this many seconds for the ledger to record a gap. Then polling goes on; only the gap's pages wait.
LEDGER_PATIENCE = 2.0


class CommentPolling:
    """The comments of one poller. `reddit_clock` has Reddit's time, `clock` that of this machine."""

    def __init__(
        self,
        ports: CommentPorts,
        planner: CommentPlanner,
        rejections: Rejections,
        reports: Reports,
        reddit_clock: RedditClock,
        clock: Callable[[], datetime],
    ) -> None:
        self._ports, self.planner = ports, planner
        self._rejections, self._reports = rejections, reports
        self._reddit_clock, self._clock = reddit_clock, clock
        self.gap_writer = GapWriter(planner.gaps, ports.ledger)
        self.post_runs = PostRuns(ports.runs, planner.trees)
        self._run_id = uuid4().hex[:8]
        self._polls = 0

    async def take_over(self, subreddits: Sequence[Subreddit]) -> None:
        """Begin where the database stands. Raises Retryable while it is away."""
        stored = await self._known_comments(subreddits)
        gaps = await self._ports.ledger.open_gaps()
        self.planner.start(subreddits, stored, gaps, self._reddit_clock.now())
        if followed := sum(each.comments for each in subreddits):
            log.info("comments_followed", subreddits=followed, known_comments=len(stored), open_gaps=len(gaps))

    async def configure(self, subreddits: Sequence[Subreddit]) -> None:
        """Follow the comments of these subreddits from now on. Raises Retryable while the database is away."""
        stored = await self._known_comments(subreddits)
        if self.planner.configure(subreddits, self._reddit_clock.now(), stored):
            log.info("followed_comments_changed", subreddits=sum(each.comments for each in subreddits))

    async def _known_comments(self, subreddits: Sequence[Subreddit]) -> Sequence[StoredComment]:
        """Comments of arriving subreddits: the newest, and those that the last poll had settled."""
        until = {
            each.name.lower(): None if each.comments_polled_at is None else moment(each.comments_polled_at - UNSETTLED)
            for each in self.planner.arriving(subreddits)
        }
        return await self._ports.known.known_comments(until, ANCHOR_SIZE) if until else ()

    async def take(self, fetch: Fetch, page: CommentPage) -> Findings:
        """Judge an answer, record a gap that it opens, publish, and tell the planner what was confirmed.

        Returns what the answer meant.
        """
        asked = [found for found in page.comments if fetch.asked_for(found.comment.id, found.subreddit.lower())]
        self._rejections.note(page.rejections)
        self._rejections.note(
            Rejection(found.comment.id, "not_asked", "the request did not ask for it")
            for found in page.comments
            if not fetch.asked_for(found.comment.id, found.subreddit.lower())
        )
        asked = _placed(fetch, asked, page)
        items = [seen_comment(found) for found in asked]
        findings = self.planner.judge(fetch, items, page.after, self._reddit_clock.now())
        await self.gap_writer.flushed(LEDGER_PATIENCE)
        confirmed = await self.publish(findings, asked, page.observed_at)
        if not fetch.is_refresh:
            decided_and_sent = zip(findings.decisions, confirmed, strict=True)
            COMMENTS_DISCOVERED.inc(sum(is_sent and decision.is_new for decision, is_sent in decided_and_sent))
        not_followed = fetch.not_followed
        if self.planner.confirm(findings, confirmed, self._reddit_clock.now()):
            self._reports.answered_comments(fetch.names, page.observed_at)
        COMMENTS_NOT_FOLLOWED.inc(fetch.not_followed - not_followed)
        self.gap_writer.wake()
        return findings

    async def publish(
        self, findings: Findings, comments: Sequence[FoundComment], observed_at: datetime
    ) -> Sequence[bool]:
        """Publish the comments that were decided on; returns by decision whether the brokers confirmed it."""
        if not findings.decisions:
            return []
        self._polls += 1
        emitted_at, poll_id = self._clock(), f"{self._run_id}-c{self._polls}"
        return await self._ports.publisher.publish(
            [
                comment_envelope(
                    comments[decision.item],
                    findings.fetch.mode(is_new=decision.is_new),
                    observed_at,
                    emitted_at,
                    poll_id,
                )
                for decision in findings.decisions
            ]
        )


def _placed(fetch: Fetch, comments: Sequence[FoundComment], page: CommentPage) -> list[FoundComment]:
    """The comments with the depths that the fetch knows of."""
    told = [(each.comment.id, each.comment.parent_id, each.comment.depth) for each in comments]
    left_out = None if page.more is None else [(more.ids, more.count) for more in page.more]
    depths = fetch.note_tree(told, left_out)
    return [
        replace(each, comment=structs.replace(each.comment, depth=depths[each.comment.id]))
        if each.comment.depth is None and each.comment.id in depths
        else each
        for each in comments
    ]
