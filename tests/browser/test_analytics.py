"""What an analyst asks the page Analytics, in a real browser."""

import re
from datetime import timedelta

import pytest
from playwright.async_api import Locator, Page, expect

from signalflow.clock import utcnow
from tests.browser.conftest import Visit
from tests.browser.installation import Installation, post
from tests.integration.storage_rows import features

pytestmark = pytest.mark.asyncio(loop_scope="module")


def posts_of(page: Page) -> Locator:
    """The number of posts, in the figures on top."""
    return page.locator(".figure", has_text="Posts").locator("dd").first


def compared(page: Page, name: str) -> Locator:
    """The row of a subject in the comparison."""
    return page.get_by_role("region", name="Comparison").get_by_role("row", name=name)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        # Plain posts are p00 to p59, one in three of each of python, rust and science; rocket is of science too.
        ("subreddit=rust", "20"),
        ("subreddit=rust&subreddit=science", "41"),
        ("q=rocket", "1"),
        ("q=rocket%20or%20p10", "2"),
        ("author=nobody", "0"),
        ("keyword=post&subreddit=rust", "20"),
    ],
)
async def test_the_address_filters_the_analytics(visit: Visit, filters: str, count: str) -> None:
    page = await visit(f"/analytics?{filters}")
    await expect(posts_of(page)).to_have_text(count)


async def test_filters_and_days_of_the_analytics_are_in_the_address(visit: Visit, installation: Installation) -> None:
    now = utcnow()
    await installation.store(
        *(
            post(f"past{days}", minutes=days * 1440, title="Of another day", author="historian")
            for days in (11, 12, 13, 20)
        )
    )
    page = await visit("/analytics?author=historian")
    await expect(posts_of(page)).to_have_text("0")
    await page.get_by_label("From day").fill((now - timedelta(days=14)).date().isoformat())
    await page.get_by_label("To day").fill((now - timedelta(days=10)).date().isoformat())
    await expect(posts_of(page)).to_have_text("3")
    await expect(page).to_have_url(re.compile("author=historian&created_from=[^&]+&created_to=[^&]+$"))
    other = await visit(page.url)
    await expect(posts_of(other)).to_have_text("3")
    await expect(other.get_by_label("To day")).to_have_value((now - timedelta(days=10)).date().isoformat())
    # Longer than the statistics reach: the page says so.
    await page.get_by_label("From day").fill((now - timedelta(days=60)).date().isoformat())
    await expect(page.get_by_role("alert").first).to_contain_text("created_from: must be at most 31 days")


async def test_two_to_five_subjects_are_side_by_side(visit: Visit, installation: Installation) -> None:
    await installation.store(post("bo1", minutes=5, author="Bo", title="Bo writes", nlp=features(0.5, "violin")))
    page = await visit("/analytics?compare=subreddit:RUST")
    card = page.get_by_role("region", name="Side by side")
    await expect(compared(page, "r/rust").get_by_role("cell").first).to_have_text("20")
    for kind, name in (("author", "u/Bo"), ("q", "rocket engines"), ("keyword", "violin"), ("subreddit", "r/science")):
        await card.get_by_label("Kind").select_option(kind)
        await card.get_by_label("Name or words").fill(name)
        await card.get_by_role("button", name="Compare", exact=True).click()
        await expect(card.get_by_role("list", name="Compared").get_by_role("listitem").last).to_contain_text(name)
    await expect(card.get_by_role("button", name="Compare", exact=True)).to_be_disabled()
    for name, count in (("r/rust", "20"), ("u/Bo", "1"), ("search rocket", "1"), ("violin", "1"), ("r/science", "21")):
        await expect(compared(page, name).get_by_role("cell").first).to_have_text(count)
    await card.get_by_text("As a table").click()
    await expect(card.locator(".table-of-chart thead th")).to_have_count(6)
    # The same from the address alone.
    other = await visit(page.url)
    await expect(compared(other, "violin").get_by_role("cell").first).to_have_text("1")
    await page.get_by_role("button", name="Leave out u/Bo").click()
    await expect(compared(page, "u/Bo")).to_have_count(0)
    await expect(page).not_to_have_url(re.compile("Bo"))


async def test_a_row_of_a_table_is_compared_with_one_click(visit: Visit, installation: Installation) -> None:
    await installation.store(post("cy1", minutes=5, author="Cy", title="Cy writes", subreddit="golang"))
    page = await visit("/analytics?author=cy")
    for name in ("r/golang", "u/Cy"):
        await page.get_by_role("button", name=f"Compare {name}").click()
        await expect(compared(page, name).get_by_role("cell").first).to_have_text("1")
    await expect(page).to_have_url(re.compile("compare=subreddit%3Agolang&compare=author%3ACy$"))


async def test_the_filters_of_the_page_hold_for_what_is_compared(visit: Visit) -> None:
    page = await visit("/analytics?subreddit=science&compare=q:plain&compare=q:rocket&compare=subreddit:rust")
    for name, count in (("search plain", "20"), ("search rocket", "1"), ("r/rust", "20")):
        await expect(compared(page, name).get_by_role("cell").first).to_have_text(count)


@pytest.mark.parametrize("unusable", ["compare=nonsense", "compare=title:x", "compare=author:"])
async def test_a_subject_of_no_kind_is_not_compared(visit: Visit, unusable: str) -> None:
    page = await visit(f"/analytics?{unusable}")
    await expect(page.get_by_text("Nothing is compared yet")).to_be_visible()


async def test_a_long_range_is_compared_by_days(visit: Visit) -> None:
    page = await visit("/analytics?range=7d&compare=subreddit:rust&compare=subreddit:python")
    card = page.get_by_role("region", name="Side by side")
    await card.get_by_text("As a table").click()
    await expect(card.locator(".table-of-chart thead th").first).to_have_text("Day")
    rows = card.locator(".table-of-chart tbody tr")
    assert await rows.count() in (7, 8)


async def test_keywords_have_their_trend_and_mean_something(visit: Visit, installation: Installation) -> None:
    await installation.store(
        *(post(f"key{n}", minutes=n * 60, author="keys", nlp=features(0.1, "far", "telescope")) for n in range(1, 4))
    )
    page = await visit("/analytics?author=keys")
    await expect(page.get_by_role("link", name="telescope")).to_be_visible()
    await expect(page.get_by_role("img", name="Posts with “telescope” over the range")).to_be_visible()
    # There is no range before to compare with, so nothing is said to be new.
    await expect(page.locator(".bars .number", has_text="new")).to_have_count(0)
    await expect(page.get_by_role("link", name="far", exact=True)).to_have_count(0)
