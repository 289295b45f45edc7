"""What was erased on request loses its words before anything looks at an answer of Reddit."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from signalflow.domain.erasure import Erased, ErasedComment, ErasedPost, author_digest
from signalflow.errors import Retryable
from signalflow.events import Comment, CommentEnvelope, Envelope, Post
from signalflow.reddit import erasures as erasures_module
from signalflow.reddit.erasures import Erasures
from signalflow.reddit.protocol import UNKNOWN_LIMIT, AnyPage, CommentPage, FoundComment, Page, SubredditPage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
MARKER = "zyxwords"
ASKED = Erased({author_digest("Asked_For")}, {"post1"}, {"said1"})
BY_NAME = ("asked_for", "ASKED_FOR", "Asked_For")


def post_row(id_: str, *, is_told: bool = False, observed_at: datetime = NOON) -> ErasedPost:
    return ErasedPost(id_, "python", NOON, observed_at, is_told, over_18=True, is_self=True, edited_at=NOON)


def comment_row(id_: str, *, is_told: bool = False) -> ErasedComment:
    return ErasedComment(id_, "abc", "python", NOON, NOON, is_told, "t1_said", 3)


class Source:
    """The database, and as publisher the topics."""

    def __init__(self, erased: Erased) -> None:
        self.erased, self.is_away, self.is_kafka_away = erased, False, False
        self.posts, self.comments = [post_row("post1")], [comment_row("said1")]
        self.published: list[Envelope | CommentEnvelope] = []

    async def erased_rows(
        self, posts: Sequence[str], comments: Sequence[str]
    ) -> tuple[Sequence[ErasedPost], Sequence[ErasedComment]]:
        return [row for row in self.posts if row.id in posts], [row for row in self.comments if row.id in comments]

    async def publish(self, envelopes: Sequence[Envelope | CommentEnvelope]) -> list[bool]:
        if not self.is_kafka_away:
            self.published += envelopes
        return [not self.is_kafka_away] * len(envelopes)

    def told(self) -> list[str]:
        """The ids that were published since the last call."""
        ids = [each.payload.id for each in self.published]
        self.published.clear()
        return ids

    async def erased_on_request(self) -> Erased:
        if self.is_away:
            raise Retryable("the database is away")
        return self.erased


def post(id_: str, author: str | None) -> Post:
    words = {name: f"{name} {MARKER}" for name in ("title", "url", "permalink", "flair", "body")}
    return Post(id=id_, author=author, subreddit="python", created_utc=NOON, score=7, num_comments=3, **words)  # type: ignore[arg-type]


def said(id_: str, author: str | None) -> FoundComment:
    return FoundComment(
        "python", Comment(id=id_, post_id="post1", author=author, body=MARKER, created_utc=NOON, score=5, depth=2)
    )


def posts_page(*posts: Post) -> Page:
    return Page(posts, "after", NOON, UNKNOWN_LIMIT)


def comments_page(*comments: FoundComment) -> CommentPage:
    return CommentPage(comments, "after", NOON, UNKNOWN_LIMIT)


def erasures_from(source: Source) -> Erasures:
    return Erasures(source, source, source, lambda: LATER)


async def erasures_of(erased: Erased) -> Erasures:
    erasures = erasures_from(Source(erased))
    await erasures.read()
    return erasures


@pytest.mark.parametrize(("id_", "author"), [("post1", "other"), ("post1", None), *(("new", name) for name in BY_NAME)])
async def test_of_an_erased_post_only_the_numbers_are_left(id_: str, author: str | None) -> None:
    page = (await erasures_of(ASKED)).taken_out_of(posts_page(post("stays", "other"), post(id_, author)))
    assert isinstance(page, Page)
    stays, gone = page.posts
    assert (stays, page.after, page.observed_at) == (post("stays", "other"), "after", NOON)
    assert MARKER not in str(gone)
    assert (gone.author, gone.body, gone.title, gone.removed_by) == (None, None, "", "request")
    assert (gone.id, gone.score, gone.num_comments) == (id_, 7, 3)


@pytest.mark.parametrize(("id_", "author"), [("said1", "other"), ("said1", None), *(("new", name) for name in BY_NAME)])
async def test_of_an_erased_comment_only_the_numbers_are_left(id_: str, author: str | None) -> None:
    # An id of a comment may be that of a post.
    page = (await erasures_of(ASKED)).taken_out_of(comments_page(said("post1", "other"), said(id_, author)))
    assert isinstance(page, CommentPage)
    stays, gone = page.comments
    assert (stays, page.after) == (said("post1", "other"), "after")
    assert (gone.comment.author, gone.comment.body, gone.comment.removed_by) == (None, None, "request")
    assert (gone.subreddit, gone.comment.id, gone.comment.score, gone.comment.depth) == ("python", id_, 5, 2)


@pytest.mark.parametrize("asked", [Erased(), ASKED], ids=["nobody asked", "somebody else asked"])
@pytest.mark.parametrize(
    "page",
    [
        posts_page(post("other", "other"), post("said1", None)),
        comments_page(said("other", "other"), said("x", None)),
        SubredditPage((), None, NOON, UNKNOWN_LIMIT),
    ],
    ids=["posts", "comments", "subreddits"],
)
async def test_other_answers_stay_as_they_are(asked: Erased, page: AnyPage) -> None:
    assert (await erasures_of(asked)).taken_out_of(page) == page


async def test_it_follows_what_is_asked_for_and_goes_on_to_hold_while_the_database_is_away() -> None:
    source = Source(Erased())
    erasures = erasures_from(source)
    await erasures.read()
    source.erased = ASKED
    assert await erasures.step() > 0
    source.is_away = True
    with pytest.raises(Retryable):
        await erasures.step()
    page = erasures.taken_out_of(posts_page(post("post1", "other")))
    assert isinstance(page, Page)
    assert page.posts[0].removed_by == "request"


async def told_by(source: Source, erasures: Erasures, now: datetime = LATER) -> list[str]:
    await erasures.step()
    await erasures.tell(now)
    return source.told()


async def test_readers_of_topics_are_told_once_with_records_that_change_no_number() -> None:
    source = Source(ASKED)
    erasures = erasures_from(source)
    await erasures.step()
    await erasures.tell(LATER)
    of_post, of_comment = source.published
    assert isinstance(of_post, Envelope)
    assert isinstance(of_comment, CommentEnvelope)
    assert (of_post.payload.id, of_comment.payload.id) == ("post1", "said1")
    for each in (of_post, of_comment):
        assert (each.mode, each.metadata.observed_at, each.metadata.rank) == ("refresh", LATER, None)
        assert (each.payload.removed_by, each.payload.author, each.payload.body) == ("request", None, None)
        assert each.payload.score is None
    # What the row has beside numbers stays as it is.
    post = of_post.payload
    assert (post.title, post.over_18, post.is_self, post.edited_at, post.num_comments) == ("", True, True, NOON, None)
    assert (of_comment.payload.parent_id, of_comment.payload.depth, of_comment.key) == ("t1_said", 3, b"abc")
    source.told()
    assert await told_by(source, erasures) == [], "it is not stored yet, but confirmed"


async def test_what_a_stored_observation_says_already_is_not_told_again() -> None:
    source = Source(Erased(posts={"told", "new"}, comments={"told"}))
    source.posts, source.comments = (
        [post_row("told", is_told=True), post_row("new")],
        [comment_row("told", is_told=True)],
    )
    assert await told_by(source, erasures_from(source)) == ["new"]


async def test_what_is_not_confirmed_is_told_later() -> None:
    source = Source(ASKED)
    erasures = erasures_from(source)
    source.is_kafka_away = True
    assert await told_by(source, erasures) == []
    source.is_kafka_away = False
    assert await told_by(source, erasures) == ["post1", "said1"]


async def test_the_record_is_newer_than_every_observation_whatever_clock_it_is_from() -> None:
    source = Source(Erased(posts={"post1"}))
    source.posts = [post_row("post1", observed_at=LATER)]
    erasures = erasures_from(source)
    await erasures.step()
    await erasures.tell(NOON)
    (record,) = source.published
    assert record.metadata.observed_at > LATER


async def test_more_rows_than_are_read_at_once_are_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasures_module, "ROWS_AT_ONCE", 2)
    # Comments that are not stored any more delay nobody.
    source = Source(Erased(posts=set("abcde"), comments=set("abc")))
    source.posts = [post_row(id_) for id_ in "abcde"]
    erasures = erasures_from(source)
    assert [await told_by(source, erasures) for _ in range(4)] == [["a", "b"], ["c", "d"], ["e"], []]
