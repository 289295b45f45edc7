"""What was erased on request is not published again, although Reddit shows it."""

from dataclasses import replace

from msgspec import structs

from signalflow.domain.erasure import Erased
from signalflow.domain.words import REQUEST
from signalflow.events import without_text, without_words
from signalflow.reddit.ports import ErasureSource
from signalflow.reddit.protocol import AnyPage, CommentPage, Page

# Seconds between looks at what somebody asked to erase.
LOOK_EVERY = 5.0


class Erasures:
    """What was erased on request, as the database told it last. It goes on to hold while the database is away."""

    def __init__(self, source: ErasureSource) -> None:
        self._source = source
        self._erased = Erased()

    async def read(self) -> None:
        """Read what is erased by now. Raises Retryable while the database is away."""
        self._erased = await self._source.erased_on_request()

    async def step(self) -> float:
        """Read it again; returns the seconds until the next step. Raises Retryable while the database is away."""
        await self.read()
        return LOOK_EVERY

    def taken_out_of(self, page: AnyPage) -> AnyPage:
        """The answer without the words that are erased: as if these posts and comments had been taken away."""
        erased = self._erased
        if isinstance(page, Page):
            posts = page.posts
            gone = {post.id for post in posts if erased.has_post(post.id, post.author)}
            if gone:
                return replace(
                    page,
                    posts=tuple(
                        structs.replace(without_text(post), removed_by=REQUEST) if post.id in gone else post
                        for post in posts
                    ),
                )
        elif isinstance(page, CommentPage):
            said = page.comments
            gone = {each.comment.id for each in said if erased.has_comment(each.comment.id, each.comment.author)}
            if gone:
                return replace(
                    page,
                    comments=tuple(
                        replace(each, comment=structs.replace(without_words(each.comment), removed_by=REQUEST))
                        if each.comment.id in gone
                        else each
                        for each in said
                    ),
                )
        return page
