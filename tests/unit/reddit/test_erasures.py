"""What was erased on request loses its words before anything looks at an answer of Reddit."""

from datetime import UTC, datetime

import pytest

from signalflow.domain.erasure import Erased, author_digest
from signalflow.errors import Retryable
from signalflow.events import Comment, Post
from signalflow.reddit.erasures import Erasures
from signalflow.reddit.protocol import UNKNOWN_LIMIT, AnyPage, CommentPage, FoundComment, Page, SubredditPage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MARKER = "zyxwords"
ASKED = Erased({author_digest("Asked_For")}, {"post1"}, {"said1"})
BY_NAME = ("asked_for", "ASKED_FOR", "Asked_For")


class Source:
    def __init__(self, erased: Erased) -> None:
        self.erased, self.is_away = erased, False

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


async def erasures_of(erased: Erased) -> Erasures:
    erasures = Erasures(Source(erased))
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
    assert (await erasures_of(asked)).taken_out_of(page) is page


async def test_it_follows_what_is_asked_for_and_goes_on_to_hold_while_the_database_is_away() -> None:
    source = Source(Erased())
    erasures = Erasures(source)
    await erasures.read()
    source.erased = ASKED
    assert await erasures.step() > 0
    source.is_away = True
    with pytest.raises(Retryable):
        await erasures.step()
    page = erasures.taken_out_of(posts_page(post("post1", "other")))
    assert isinstance(page, Page)
    assert page.posts[0].removed_by == "request"
