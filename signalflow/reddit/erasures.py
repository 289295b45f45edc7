"""What was erased on request: no answer of Reddit brings its words again, and readers of topics are told of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import structlog
from msgspec import structs

from signalflow.domain.erasure import Erased, ErasedComment, ErasedPost
from signalflow.domain.words import REQUEST
from signalflow.events import Comment, Post, without_text, without_words
from signalflow.reddit.observations import comment_envelope, envelope
from signalflow.reddit.ports import CommentPublisher, ErasureSource, PostPublisher
from signalflow.reddit.protocol import AnyPage, CommentPage, FoundComment, Page

log = structlog.get_logger()

# Seconds between looks at what somebody asked to erase.
LOOK_EVERY = 5.0
# Of so many posts, and of so many comments, the rows are read at once.
ROWS_AT_ONCE = 500


class Erasures:
    """What was erased on request, as the database told it last. It goes on to hold while the database is away.

    `clock` gives the time at which records are emitted.
    """

    def __init__(
        self,
        source: ErasureSource,
        publisher: PostPublisher,
        comment_publisher: CommentPublisher,
        clock: Callable[[], datetime],
    ) -> None:
        self._source, self._publisher, self._comment_publisher = source, publisher, comment_publisher
        self._clock = clock
        self._erased = Erased()
        # The posts and comments of which the raw topics have a record that says so.
        self._told_posts, self._told_comments = set[str](), set[str]()
        self._posts: Sequence[ErasedPost] = ()
        self._comments: Sequence[ErasedComment] = ()

    async def read(self) -> None:
        """Read what is erased by now. Raises Retryable while the database is away."""
        self._erased = await self._source.erased_on_request()

    async def step(self) -> float:
        """Read what is erased by now, and what must be told of it; returns the seconds until the next step.

        Raises Retryable while the database is away.
        """
        await self.read()
        posts = sorted(self._erased.posts - self._told_posts)[:ROWS_AT_ONCE]
        comments = sorted(self._erased.comments - self._told_comments)[:ROWS_AT_ONCE]
        if posts or comments:
            of_posts, of_comments = await self._source.erased_rows(posts, comments)
            self._posts = [row for row in of_posts if not row.is_told]
            self._comments = [row for row in of_comments if not row.is_told]
            # Nobody is told of what is not stored any more.
            self._told_posts.update(set(posts).difference(row.id for row in self._posts))
            self._told_comments.update(set(comments).difference(row.id for row in self._comments))
        return LOOK_EVERY

    async def tell(self, now: datetime) -> None:
        """Publish an observation without words of what was read and is not told yet.

        Call it when no answer is on its way to the topics. `now`, Reddit's time, must be later than all of them. Such
        an observation has no numbers, so it changes none. What Kafka does not confirm is read again.
        """
        posts, self._posts = self._posts, ()
        comments, self._comments = self._comments, ()
        if not posts and not comments:
            return
        poll_id, emitted_at = f"{uuid4().hex[:8]}-erased", self._clock()
        confirmed = await self._publisher.publish(
            [envelope(_gone(row), "refresh", True, _after(row, now), emitted_at, poll_id) for row in posts]
        )
        self._told_posts.update(row.id for row, is_sent in zip(posts, confirmed, strict=True) if is_sent)
        confirmed = await self._comment_publisher.publish(
            [comment_envelope(_gone_comment(row), "refresh", _after(row, now), emitted_at, poll_id) for row in comments]
        )
        self._told_comments.update(row.id for row, is_sent in zip(comments, confirmed, strict=True) if is_sent)
        log.info("erasures_told", posts=len(posts), comments=len(comments))

    def taken_out_of(self, page: AnyPage) -> AnyPage:
        """The answer without the words that are erased: as if these posts and comments had been taken away."""
        erased = self._erased
        if isinstance(page, Page):
            posts = [
                structs.replace(without_text(post), removed_by=REQUEST)
                if erased.has_post(post.id, post.author)
                else post
                for post in page.posts
            ]
            return replace(page, posts=tuple(posts))
        if isinstance(page, CommentPage):
            comments = [
                replace(each, comment=structs.replace(without_words(each.comment), removed_by=REQUEST))
                if erased.has_comment(each.comment.id, each.comment.author)
                else each
                for each in page.comments
            ]
            return replace(page, comments=tuple(comments))
        return page


def _after(row: ErasedPost | ErasedComment, now: datetime) -> datetime:
    """The moment of the observation: later than all others, whatever clock they are from."""
    return max(now, row.observed_at + timedelta(microseconds=1))


def _gone(row: ErasedPost) -> Post:
    return Post(
        id=row.id,
        subreddit=row.subreddit,
        author=None,
        title="",
        created_utc=row.created_utc,
        score=None,
        num_comments=None,
        over_18=row.over_18,
        is_self=row.is_self,
        edited_at=row.edited_at,
        removed_by=REQUEST,
        body=None,
    )


def _gone_comment(row: ErasedComment) -> FoundComment:
    comment = Comment(
        id=row.id,
        post_id=row.post_id,
        author=None,
        body=None,
        created_utc=row.created_utc,
        score=None,
        parent_id=row.parent_id,
        depth=row.depth,
        removed_by=REQUEST,
    )
    return FoundComment(row.subreddit, comment)
