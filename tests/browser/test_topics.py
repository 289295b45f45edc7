"""Stories on the pages, in a real browser: the list, one story, and the link from a post."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from signalflow.clock import utcnow
from signalflow.storage.pool import create_pool
from tests.browser.conftest import AXE, NewContext, Visit
from tests.browser.installation import HOSTILE, Installation, post
from tests.integration.topic_rows import store_topic

pytestmark = pytest.mark.asyncio(loop_scope="module")
TITLE = "Supreme Court rules on genes"


async def store_stories(installation: Installation) -> None:
    """A story of four posts, of which one repeats the first and one is hostile, and 20 older stories."""
    await installation.store(
        post("g1", minutes=200, title=TITLE, subreddit="science", current_score=7),
        post("g2", minutes=90, title=TITLE.upper(), subreddit="rust", current_score=3),
        post("g3", minutes=80, title="Genes are free, says the court", subreddit="science", current_score=90),
        post("g4", minutes=5, title=HOSTILE, subreddit="science", current_score=1),
    )
    await installation.rows("DELETE FROM topic_clusters")
    async with await create_pool(installation.settings, application_name="tests") as pool:
        await store_topic(pool, "g1", "g1", "g2", "g3", "g4", newest_at=utcnow(), label=["supreme", HOSTILE, "court"])
        for number in range(20):
            newest_at = utcnow() - timedelta(days=2, hours=number)
            await store_topic(pool, f"old{number:02}", size=3, newest_at=newest_at, state=None)


async def test_stories_are_found_from_the_page_now_and_lead_to_their_posts_and_back(
    visit: Visit, installation: Installation
) -> None:
    await store_stories(installation)
    page = await visit("/")
    await page.get_by_role("link", name="Stories").click()
    stories = page.locator(".topic-list .topic-card")
    await expect(stories).to_have_count(20)
    await expect(stories.first.get_by_role("heading")).to_have_text(f"words: supreme · {HOSTILE} · court")
    await expect(stories.first).to_contain_text("4 posts")
    await expect(stories.first.get_by_role("link", name="Genes are free")).to_have_attribute("href", "/posts/g3")
    await expect(stories.first.get_by_label("Subreddits")).to_have_text("r/science 3r/rust 1")
    await expect(stories.last).to_contain_text("ended")
    await page.get_by_role("button", name="Older stories").click()
    await expect(stories).to_have_count(1)
    await page.get_by_role("textbox", name="Subreddits").fill("RUST")
    await page.get_by_role("textbox", name="Subreddits").press("Enter")
    await expect(stories.first).to_contain_text("4 posts")
    assert page.url.endswith("/topics?subreddit=RUST")

    await stories.first.get_by_role("link", name="words: supreme").click()
    posts = page.locator(".topic-posts > li")
    await expect(posts).to_have_count(3)
    assert [await one.get_attribute("data-id") for one in await posts.all()] == ["g4", "g3", "g1"]
    await expect(posts.first.get_by_role("link", name=HOSTILE)).to_have_attribute("href", "/posts/g4")
    assert await page.evaluate("window.hacked") is None
    repeated = posts.last.get_by_role("link", name=TITLE.upper(), exact=True)
    await expect(repeated).to_be_hidden()
    await posts.last.get_by_text("The same 1 time more").click()
    await expect(repeated).to_be_visible()
    hours = page.get_by_role("region", name="Hour by hour")
    await hours.get_by_text("As a table").click()
    await expect(hours.get_by_role("columnheader")).to_have_text(["Hour", "Posts", "Mean sentiment"])
    numbers = await hours.locator(".table-of-chart tbody tr td:nth-child(2)").all_inner_texts()
    assert sum(map(int, numbers)) == 4

    await repeated.click()
    await page.get_by_role("link", name="Story: 4 posts").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("words: supreme")
    page = await visit("/posts/p01")
    await expect(page.locator(".figures")).to_be_visible()
    await expect(page.get_by_role("link", name="Story:")).to_have_count(0)


@pytest.mark.parametrize(("path", "shows"), [("/topics", ".topic-card"), ("/topics/g1", ".topic-post")])
async def test_stories_are_accessible_and_fit_a_narrow_window(
    new_context: NewContext, installation: Installation, path: str, shows: str
) -> None:
    await store_stories(installation)
    context = await new_context(color_scheme="dark", viewport={"width": 390, "height": 800})
    await context.add_init_script(path=AXE)
    page = await context.new_page()
    await page.goto(path)
    await expect(page.locator(shows).first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]] == []
