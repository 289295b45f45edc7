"""The panel of subreddits that rise and are not watched, in a real browser."""

import re

import pytest
from playwright.async_api import Page, expect

from signalflow.clock import utcnow
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.storage.accounts import add_user
from signalflow.storage.pool import create_pool
from signalflow.storage.trending_subreddits import note_popular, note_rising
from tests.browser.conftest import NewContext, Visit
from tests.browser.installation import USER, Installation
from tests.integration.accounts_api import HASHER, PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def rise(installation: Installation, *names: str) -> None:
    """These subreddits rise, the first one most."""
    async with await create_pool(installation.settings, application_name="tests") as pool:
        posts = [RisingPost(f"r{name.lower()}", name, "rising", rank, utcnow()) for rank, name in enumerate(names, 1)]
        await note_rising(pool, posts)


async def sign_in(page: Page, name: str) -> None:
    await page.goto("/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/")


async def test_a_subreddit_that_rises_is_watched_with_one_click_and_leaves_the_panel(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/subreddits")
    panel = page.get_by_role("region", name="Rising on Reddit")
    await expect(panel.get_by_text("Nothing rises that is not watched")).to_be_visible()
    # r/rust is watched already.
    await rise(installation, "zig", "Rust", "elm")
    await page.reload()
    await expect(panel.locator("tbody th")).to_have_text([re.compile("zig"), re.compile("elm")])
    await expect(panel.locator("tbody tr").first.locator("td").nth(1)).to_have_text("1")
    button = panel.get_by_role("button", name="Watch r/zig")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("tr[data-name=zig]")).to_be_visible()
    await expect(panel.locator("tbody tr")).to_have_count(1)
    await expect(panel.get_by_role("button", name="Watch r/elm")).to_be_focused()
    (stored,) = await installation.rows("SELECT changed_by, priority FROM subreddit_config WHERE name = 'zig'")
    assert tuple(stored) == (USER, "medium")


async def test_a_popular_subreddit_that_does_not_rise_is_last_and_has_no_numbers(
    visit: Visit, installation: Installation
) -> None:
    await rise(installation, "lua", "ada")
    async with await create_pool(installation.settings, application_name="tests") as pool:
        await note_popular(pool, [PopularSubreddit("pics", 1), PopularSubreddit("ada", 2)], utcnow())
    panel = (await visit("/subreddits")).get_by_role("region", name="Rising on Reddit")
    rows = panel.locator("tbody tr")
    await expect(rows.filter(has_text="ada").locator("td").nth(2)).to_have_text("2")
    await expect(rows.last).to_contain_text("pics")
    await expect(rows.last.locator("td").nth(1)).to_have_text("–")
    await expect(rows.last.locator("td").nth(4)).to_have_text("–")
    await expect(panel.get_by_role("button", name="Watch r/pics")).to_be_visible()


async def test_a_reader_sees_what_rises_and_has_no_button(new_context: NewContext, installation: Installation) -> None:
    await rise(installation, "cobol")
    async with await create_pool(installation.settings, application_name="tests") as pool:
        await add_user(pool, "eve", "reader", HASHER.hash(PASSWORD), now=utcnow(), who="tests")
    page = await (await new_context(storage_state=None)).new_page()
    await sign_in(page, "eve")
    await page.goto("/subreddits")
    panel = page.get_by_role("region", name="Rising on Reddit")
    await expect(panel.get_by_text("cobol")).to_be_visible()
    await expect(panel.get_by_role("button")).to_have_count(0)
