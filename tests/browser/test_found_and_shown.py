"""What the pages say of a search, and of a post that Reddit no longer shows."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from signalflow.clock import utcnow
from signalflow.storage.known import mark_not_shown
from signalflow.storage.pool import create_pool
from signalflow.storage.writer import write_batch
from tests.browser.conftest import Visit
from tests.browser.installation import Installation, post

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/?q=rockets", "in any form of the words"),
        ("/?q=the+who", "the words as they are written"),
        ("/?q=%2B%2B", "as a piece of text, among the newest posts"),
        ("/", ""),
    ],
)
async def test_beside_the_heading_stands_how_a_search_was_looked_up(visit: Visit, address: str, said: str) -> None:
    page = await visit(address)
    await expect(page.get_by_role("region", name="Posts").locator("header > .quiet")).to_have_text(said)


async def test_a_post_that_is_no_longer_shown_is_marked_until_it_is_observed_again(
    visit: Visit, installation: Installation
) -> None:
    seen_at = utcnow() - timedelta(minutes=12)
    titles = {"gone1": "Vanished with its subreddit", "here1": "Still here and rising"}
    rising = {"observed_at": seen_at, "trend_velocity": 40.0, "subreddit": "science"}
    pool = await create_pool(installation.settings, application_name="tests")
    async with pool:
        await write_batch(pool, [post(id_, minutes=20, title=title, **rising) for id_, title in titles.items()])
        await mark_not_shown(pool, {"gone1": seen_at + timedelta(minutes=5)})
    page = await visit("/")
    gone, here = (page.locator(".post-row", has_text=title) for title in titles.values())
    await expect(gone.locator(".not-shown")).to_have_text("no longer shown, missed 7 min ago")
    await expect(here.locator(".not-shown")).to_be_hidden()
    await expect(page.locator(".rising-card", has_text=titles["here1"])).to_be_visible()
    await expect(page.locator(".rising-card", has_text=titles["gone1"])).to_have_count(0)
    await installation.publish(post("gone1", minutes=20, title=titles["gone1"], first_seen_at=seen_at))
    await expect(gone.locator(".not-shown")).to_be_hidden()
    await expect((await visit("/posts/gone1")).locator(".post-head .not-shown")).to_be_visible()
