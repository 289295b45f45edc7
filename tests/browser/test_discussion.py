"""The discussion below a post: trees, their order, their pages, and how their mood moved."""

import json
import re
from datetime import timedelta

import pytest
from playwright.async_api import WebSocket, expect

from signalflow.clock import utcnow
from signalflow.events import Comment, EnrichedComment, TextSentiment
from signalflow.storage.comment_writer import write_comments
from signalflow.storage.pool import create_pool
from tests.browser.conftest import NewContext, Visit
from tests.browser.installation import HOSTILE, Installation
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

POST = "rocket"
PAGE = 50


async def store(installation: Installation, *comments: tuple[Comment, float | None]) -> None:
    """Store comments, each with its sentiment; None: its language is not English, or it has no text."""
    now = utcnow()
    rows = [
        EnrichedComment(each, "science", now, now, None if each.body is None else _sentiment(score), "new")
        for each, score in comments
    ]
    pool = await create_pool(installation.settings, application_name="tests")
    async with pool:
        await write_comments(pool, rows)


def _sentiment(score: float | None) -> TextSentiment:
    if score is None:
        return TextSentiment(score=None, label=None, basis="not_english")
    return TextSentiment(score=score, label="positive" if score > 0 else "negative", basis="as_written")


def written(id_: str, minutes: float, parent: str = f"t3_{POST}", **fields: object) -> Comment:
    """A comment that was written so many minutes ago."""
    created = utcnow() - timedelta(minutes=minutes)
    return comment(id_, post_id=POST, parent_id=parent, created_utc=created, **fields)


async def test_a_post_shows_its_discussion_as_trees_in_the_chosen_order_and_how_its_mood_moved(
    visit: Visit, installation: Installation
) -> None:
    page = await visit(f"/posts/{POST}")
    await expect(page.locator("#discussion-title")).to_be_visible()
    await expect(page.get_by_text("No comments are stored")).to_be_visible()
    await expect(page.get_by_text("Mood of the discussion")).to_be_hidden()

    await store(
        installation,
        (written("top1", 29, score=5, body=HOSTILE), 0.8),
        (written("top2", 20, score=50, author="ada", is_submitter=True), 0.4),
        (written("answer", 10, parent="t1_top1", score=2, body="An answer"), -0.6),
        (written("deeper", 9, parent="t1_answer", body=None, author=None, removed_by="moderator"), None),
    )
    page = await visit(f"/posts/{POST}")
    tops = page.locator(".body > .thread > .comment")
    await expect(tops).to_have_count(2)
    await expect(tops.first).to_have_attribute("data-id", "top2")
    await expect(tops.first).to_contain_text("author of the post")
    below = page.locator("[data-id=top1] > .thread > [data-id=answer]")
    await expect(below).to_contain_text("An answer")
    await expect(below.locator("[data-id=deeper]")).to_contain_text("removed by a moderator")
    await expect(page.locator("[data-id=top1] > .comment-text")).to_have_text(HOSTILE)
    assert await page.evaluate("window.hacked") is None

    await page.get_by_role("group", name="Order of comments").get_by_role("button", name="Old").click()
    await expect(page).to_have_url(re.compile(rf"/posts/{POST}\?comments=old$"))
    await expect(tops.first).to_have_attribute("data-id", "top1")
    await page.get_by_role("button", name="By hour").click()
    await expect(page).to_have_url(re.compile(r"\?interval=1h&comments=old$"))

    mood = page.locator(".card", has_text="Mood of the discussion")
    await expect(mood).to_contain_text("mean 0.2 of 3 comments")
    await mood.get_by_text("As a table").click()
    await expect(mood.locator(".as-table tbody tr")).to_have_count(3)
    await expect(mood.locator(".as-table tbody tr").last).to_contain_text("-0.6")


async def test_the_next_page_of_a_discussion_follows_the_first(visit: Visit, installation: Installation) -> None:
    many = [(written(f"many{number}", 25, score=-number), 0.4) for number in range(PAGE + 5)]
    await store(installation, *many)
    page = await visit(f"/posts/{POST}")
    tops = page.locator(".body > .thread > .comment")
    await expect(tops).to_have_count(PAGE)
    more = page.get_by_role("button", name="More comments")
    await more.click()
    # The button is gone while the page is on its way.
    await expect(page.locator(f"[data-id=many{PAGE + 4}]")).to_have_count(1)
    await expect(more).to_have_count(0)
    found = [await each.get_attribute("data-id") for each in await tops.all()]
    assert len(found) == len(set(found)) >= PAGE + 5


async def test_a_comment_that_is_taken_away_leaves_the_page_at_once_and_its_answers_stay(
    new_context: NewContext, installation: Installation
) -> None:
    await store(
        installation,
        (written("gone1", 29, author="zyxauthor", body="Zyxwords of hers"), 0.8),
        (written("stays1", 10, parent="t1_gone1", author="ada", body="What answers it"), 0.4),
    )
    page = await (await new_context()).new_page()
    frames: list[dict[str, object]] = []

    def listen(socket: WebSocket) -> None:
        if "/ws/comments/" in socket.url:
            socket.on("framereceived", lambda frame: frames.append(json.loads(frame)))

    page.on("websocket", listen)
    await page.goto(f"/posts/{POST}")
    gone = page.locator("[data-id=gone1]")
    await expect(gone).to_contain_text("Zyxwords of hers")
    await until(lambda: bool(frames), "the first frame of the stream of comments")
    taken = comment("gone1", post_id=POST, author=None, body=None, removed_by="deleted")
    await produce_comments(installation.settings, [envelope(taken, utcnow(), "science")])
    await expect(gone.locator("> .quiet")).to_have_text("removed")
    await expect(gone).not_to_contain_text(re.compile("zyx", re.IGNORECASE))
    await expect(gone.locator("[data-id=stays1]")).to_contain_text("What answers it")
    # The database has not erased it yet.
    await page.get_by_role("group", name="Order of comments").get_by_role("button", name="Old").click()
    await expect(page).to_have_url(re.compile("comments=old"))
    await expect(gone.locator("> .quiet")).to_have_text("removed")
    assert "zyx" not in (await page.content()).lower()
