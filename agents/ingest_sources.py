"""The parts of the database that polling uses: gaps, configuration, known posts and what other workers say."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from signalflow.clock import utcnow
from signalflow.domain.comment_planner import StoredComment
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.erasure import Erased, ErasedComment, ErasedPost
from signalflow.domain.gaps import GapRecord, Outcome
from signalflow.domain.known import StoredPost
from signalflow.domain.once import OnceRun
from signalflow.domain.overlap import Gap
from signalflow.domain.post_run import PostRun
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.sweep import StoredText
from signalflow.reddit.observations import text_state
from signalflow.reddit.reddit_clock import known_moment
from signalflow.storage import (
    comment_list,
    comment_runs,
    erasure,
    gaps,
    ingest_runs,
    known,
    subreddits,
    texts,
    trending_subreddits,
    workers,
)
from signalflow.storage.gaps import GapKind
from signalflow.storage.pool import Pool


class DatabaseSources:
    """What the poller is given of the database, over one pool.

    GapLedger, ConfigSource, KnownSource, DiscoverySink, RunSource, KnownComments, CommentRuns, TextSource and
    ErasureSource. The ledger has the gaps of one kind, and the texts are those of posts or of comments. Everything
    raises Retryable while the database is away.
    """

    def __init__(self, pool_of: Callable[[], Pool], gap_kind: GapKind = "posts") -> None:
        self._pool_of, self._gap_kind = pool_of, gap_kind
        self._swept = texts.COMMENTS if gap_kind == "comments" else texts.POSTS

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        """See GapLedger."""
        return await gaps.open_gap(
            self._pool_of(),
            subreddits=gap.subreddits,
            anchor_ids=gap.anchor_ids,
            since=newest,
            after=gap.after,
            opened_at=opened_at,
            until=known_moment(gap.until),
            kind=self._gap_kind,
        )

    async def advance_gap(self, record: int, after: str | None, pages: int, until: datetime | None) -> None:
        """See GapLedger."""
        await gaps.advance_gap(self._pool_of(), record, after, pages, until)

    async def close_gap(self, record: int, outcome: Outcome, until: datetime | None) -> None:
        """See GapLedger."""
        await gaps.close_gap(self._pool_of(), record, outcome, until)

    async def open_gaps(self) -> Sequence[GapRecord]:
        """See GapLedger."""
        return await gaps.open_gaps(self._pool_of(), self._gap_kind)

    async def subreddits(self) -> Sequence[Subreddit]:
        """See ConfigSource."""
        return [row.to_poll for row in await subreddits.active_subreddits(self._pool_of())]

    async def report(
        self, polled: Mapping[str, datetime], states: Mapping[str, str], comments_polled: Mapping[str, datetime]
    ) -> None:
        """See ConfigSource."""
        if polled:
            await subreddits.mark_polled(self._pool_of(), polled)
        if comments_polled:
            await subreddits.mark_comments_polled(self._pool_of(), comments_polled)
        for name, state in states.items():
            await subreddits.mark_state(self._pool_of(), name, state, utcnow())

    async def known_posts(self, since: datetime, names: Iterable[str] | None = None) -> Sequence[StoredPost]:
        """See KnownSource."""
        return await known.known_posts(self._pool_of(), since, names)

    async def known_comments(self, until: Mapping[str, datetime | None], each: int) -> Sequence[StoredComment]:
        """See KnownComments."""
        return await comment_list.newest_of_each(self._pool_of(), until, each)

    async def note_rising(self, posts: Sequence[RisingPost]) -> None:
        """See DiscoverySink."""
        await trending_subreddits.note_rising(self._pool_of(), posts)

    async def note_popular(self, subreddits: Sequence[PopularSubreddit], seen_at: datetime) -> None:
        """See DiscoverySink."""
        await trending_subreddits.note_popular(self._pool_of(), subreddits, seen_at)

    async def runs_waiting(self) -> Sequence[OnceRun]:
        """See RunSource."""
        return await ingest_runs.runs_waiting(self._pool_of())

    async def report_run(self, run: OnceRun) -> None:
        """See RunSource."""
        await ingest_runs.report_run(self._pool_of(), run)

    async def comment_runs_waiting(self) -> Sequence[PostRun]:
        """See CommentRuns."""
        return await comment_runs.comment_runs_waiting(self._pool_of())

    async def report_comment_run(self, run: PostRun) -> None:
        """See CommentRuns."""
        await comment_runs.report_comment_run(self._pool_of(), run)

    async def mark_not_shown(self, since: Mapping[str, datetime]) -> None:
        """See KnownSource."""
        await known.mark_not_shown(self._pool_of(), since)

    async def texts_after(self, id_: str, created_before: datetime, most: int) -> Sequence[StoredText]:
        """See TextSource."""
        rows = await texts.texts_after(self._pool_of(), self._swept, id_, created_before, most)
        return [StoredText(row["id"], text_state(row["removed_by"], row["edited_at"], row["author"])) for row in rows]

    async def sweep_reached(self) -> str:
        """See TextSource."""
        return await texts.sweep_reached(self._pool_of(), self._swept)

    async def mark_swept(self, reached: str) -> None:
        """See TextSource."""
        await texts.mark_swept(self._pool_of(), self._swept, reached)

    async def erased_on_request(self) -> Erased:
        """See ErasureSource."""
        return await erasure.erased_on_request(self._pool_of())

    async def erased_rows(
        self, posts: Sequence[str], comments: Sequence[str]
    ) -> tuple[Sequence[ErasedPost], Sequence[ErasedComment]]:
        """See ErasureSource."""
        return await erasure.erased_rows(self._pool_of(), posts, comments)


class WorkersTable:
    """OtherWorkers of the worker with this name. Everything raises Retryable while the database is away."""

    def __init__(self, pool_of: Callable[[], Pool], name: str) -> None:
        self._pool_of, self._name = pool_of, name

    async def another_leads(self) -> bool:
        """See OtherWorkers."""
        return await workers.another_leads(self._pool_of(), self._name)

    async def leader_cannot_poll(self) -> bool:
        """See OtherWorkers."""
        return await workers.leader_cannot_poll(self._pool_of())
