"""Signals on the pages, in a real browser: the strip that leads the page Now, all signals, and those of a post."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from signalflow.clock import utcnow
from tests.browser.conftest import AXE, NewContext, Visit
from tests.browser.installation import HOSTILE, Installation, post
from tests.integration.signal_rows import burst, signal, viral
from tests.integration.storage_rows import features
from tests.unit.web.live.records import signal as told

pytestmark = pytest.mark.asyncio(loop_scope="module")
STRIP = ".signal-strip .signal"


def ago(minutes: float) -> datetime:
    return utcnow() - timedelta(minutes=minutes)


def busy(id_: str, minutes: float, **changes: Any) -> dict[str, Any]:
    """A subreddit that has been busy for so many minutes."""
    return signal(id_, started_at=ago(minutes), **changes)


async def test_without_signals_the_page_says_in_plain_words_when_there_will_be_some(
    visit: Visit, installation: Installation
) -> None:
    await installation.store_signals(busy("ended", 90, ended_at=ago(60)))
    await installation.rows("UPDATE subreddit_config SET polled_since = $1 WHERE lower(name) = 'rust'", ago(125))
    page = await visit("/")
    strip = page.get_by_role("region", name="Signals", exact=True)
    await expect(strip).to_contain_text("Nothing unusual now")
    await expect(strip).to_contain_text("1 of 4 subreddits are known well enough")
    await strip.get_by_role("link", name="All signals").click()
    await expect(page.locator(".signal-list .signal")).to_have_count(1)
    await expect(page.locator(".signal-list .times")).to_contain_text("ended")


async def test_the_strip_tells_the_newest_hour_first_and_within_it_the_strongest_of_each_kind(
    visit: Visit, installation: Installation
) -> None:
    hour = utcnow().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    await installation.store_signals(
        *(signal(f"older{number}", started_at=hour - timedelta(hours=number + 1)) for number in range(7)),
        viral("rocket", started_at=hour + timedelta(minutes=50), subreddit="science"),
        signal("strong", started_at=hour + timedelta(minutes=10), subject="rust", subreddit="Rust", strength=9.0),
        burst("storm", started_at=hour + timedelta(minutes=20), strength=300.0),
        burst("flood", started_at=hour + timedelta(minutes=30), strength=200.0),
    )
    page = await visit("/")
    cards = page.locator(STRIP)
    await expect(cards).to_have_count(8)
    kinds = ["On everyone", "Unusual here", "Taking off", "On everyone"]
    for place, kind in enumerate(kinds):
        await expect(cards.nth(place)).to_contain_text(kind)
    assert [await cards.nth(place).get_attribute("data-id") for place in (1, 2, 4)] == [
        "strong",
        "viral-rocket",
        "older0",
    ]
    rust, rocket = cards.nth(1), cards.nth(2)
    await expect(rust.locator(".sentence")).to_contain_text("r/Rust: 12 posts in 15 minutes, 4 times its usual number")
    await expect(rust).to_contain_text("9.0 standard deviations above what is usual")
    await expect(rust.get_by_role("link", name="r/Rust")).to_have_attribute("href", "/?subreddit=Rust")
    await expect(rust.get_by_text("began")).to_be_visible()
    await expect(rocket).to_contain_text("73 % likely")
    await expect(rocket).to_contain_text("For it: its score beside those of other posts of its age")
    await expect(rocket.get_by_role("link", name="Rocket engines explained")).to_have_attribute("href", "/posts/rocket")
    spark = rocket.get_by_role("img")
    await expect(spark).to_have_attribute("aria-label", re.compile(r"^Score: 0 at .*, \d+ at "))
    await expect(spark.locator(".line[d]")).to_have_count(1)
    await expect(spark.locator(".expected[d^=M]")).to_have_count(1)
    await expect(rust.get_by_role("img").locator(".band[d^=M]")).to_have_count(1)


async def test_a_signal_arrives_and_ends_without_a_reload_and_moves_nothing_below(
    visit: Visit, installation: Installation
) -> None:
    await installation.store_signals()
    page = await visit("/")
    await expect(page.get_by_text("Nothing unusual now")).to_be_visible()
    places = "['.figures', '.post-row'].map((name) => document.querySelector(name).getBoundingClientRect().top)"
    before = await page.evaluate(places)
    started = ago(1)
    one = told(id="live", started_at=started, changed_at=started, subject="rust", subreddit="Rust")
    await installation.publish_signals(one)
    card = page.locator(STRIP)
    await expect(card).to_contain_text("r/Rust: 12 posts in 15 minutes", timeout=2000)
    await expect(page.locator("#announcer")).to_contain_text("r/Rust: 12 posts in 15 minutes")
    assert await page.evaluate(places) == before
    later = told(id="live", started_at=started, changed_at=ago(0.5), subject="rust", subreddit="Rust", observed=30.0)
    await installation.publish_signals(later)
    await expect(card).to_contain_text("r/Rust: 30 posts in 15 minutes, 10 times its usual number")
    ended = told(id="live", started_at=started, changed_at=ago(0), ended_at=ago(0), subject="rust", subreddit="Rust")
    await installation.publish_signals(ended)
    await expect(page.get_by_text("Nothing unusual now")).to_be_visible()


async def test_the_strip_follows_the_subreddits_of_the_page(visit: Visit, installation: Installation) -> None:
    await installation.store_signals(busy("p", 5), busy("r", 6, subject="rust", subreddit="Rust"))
    page = await visit("/?subreddit=RUST")
    await expect(page.locator(STRIP)).to_have_count(1)
    await installation.publish_signals(
        told(id="x", started_at=ago(1), changed_at=ago(1)),
        told(id="y", started_at=ago(1), changed_at=ago(1), subject="rust", subreddit="Rust"),
    )
    await expect(page.locator(STRIP)).to_have_count(2)
    assert {await card.get_attribute("data-id") for card in await page.locator(STRIP).all()} == {"r", "y"}


async def test_what_strangers_wrote_stays_text_and_what_was_taken_away_goes(
    visit: Visit, installation: Installation
) -> None:
    await installation.store_signals(
        viral("hostile", started_at=ago(2)),
        burst(HOSTILE, started_at=ago(3), post_ids=["hostile"]),
    )
    await installation.store(post("hostile", minutes=2, title=HOSTILE, nlp=features(0, HOSTILE), first_seen_at=ago(9)))
    page = await visit("/")
    await expect(page.locator(STRIP).get_by_role("link", name=HOSTILE)).to_be_visible()
    await expect(page.locator(STRIP, has_text="On everyone")).to_contain_text(HOSTILE)
    await expect(page.locator(STRIP, has_text="On everyone").locator(".subject")).to_have_text(f"“{HOSTILE}”")
    assert await page.evaluate("window.hacked") is None
    await installation.publish(post("hostile", title="", author=None, removed_by="deleted", first_seen_at=ago(9)))
    await expect(page.locator(STRIP).get_by_role("link", name=HOSTILE)).to_have_count(0)


async def test_all_signals_are_found_by_filters_that_stand_in_the_address(
    visit: Visit, installation: Installation
) -> None:
    await installation.store_signals(
        *(busy(f"s{number:02}", 60 + number, ended_at=ago(30)) for number in range(25)),
        viral("rocket", started_at=ago(40 * 24 * 60), subreddit="science"),
    )
    page = await visit("/signals")
    rows = page.locator(".signal-list .signal")
    await expect(rows).to_have_count(20)
    await page.get_by_role("button", name="Older signals").click()
    await expect(rows).to_have_count(6)
    await expect(rows.last).to_contain_text("73 % likely")
    await page.get_by_label("Kind").select_option("viral")
    await expect(rows).to_have_count(1)
    assert page.url.endswith("/signals?kind=viral")
    await page.get_by_label("Begun within").select_option("30d")
    await expect(page.get_by_text("No such signal")).to_be_visible()
    page = await visit("/signals?subreddit=SCIENCE&kind=viral")
    await expect(page.locator(".signal-list .signal")).to_have_count(1)
    await expect(page.get_by_label("Subreddits")).to_have_value("SCIENCE")
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Export").click()
    assert (await saved.value).suggested_filename == "signals.csv"


async def test_the_page_of_a_post_has_its_signals(visit: Visit, installation: Installation) -> None:
    await installation.store_signals(viral("rocket", started_at=ago(9), subreddit="science"), busy("other", 5))
    page = await visit("/posts/rocket")
    await expect(page.get_by_role("region", name="Signals").locator(".signal")).to_have_count(1)
    page = await visit("/posts/p01")
    await expect(page.locator(".figures")).to_be_visible()
    await expect(page.get_by_role("region", name="Signals")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/signals"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
async def test_signals_are_accessible_and_fit_the_window(
    new_context: NewContext, installation: Installation, path: str, scheme: str, width: int
) -> None:
    await installation.store_signals(viral("rocket", started_at=ago(5), subreddit="science"), busy("busy", 7))
    context = await new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    await context.add_init_script(path=AXE)
    page = await context.new_page()
    await page.goto(path)
    await expect(page.locator(".signal .line[d]")).to_have_count(2)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]] == []


async def test_the_digest_tells_of_yesterday_and_of_a_day_that_is_chosen(
    visit: Visit, installation: Installation
) -> None:
    noon = utcnow().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    await installation.store_signals(viral("rocket", started_at=noon, subreddit="science"))
    page = await visit("/")
    await page.get_by_role("link", name="Yesterday").click()
    strongest = page.get_by_role("region", name="What stood out")
    await expect(page.get_by_role("heading", level=1, name="Digest")).to_be_visible()
    day = page.get_by_label("Day")
    await expect(day).to_have_value(f"{noon:%Y-%m-%d}")
    await day.fill(f"{utcnow():%Y-%m-%d}")
    await day.dispatch_event("change")
    await expect(strongest).to_contain_text("Nothing stood out")
    assert page.url.endswith(f"/digest?day={utcnow():%Y-%m-%d}")
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save as a page").click()
    assert (await saving.value).suggested_filename == f"digest-{utcnow():%Y-%m-%d}.html"
