"""What strangers put into titles and addresses stays in its place."""

from datetime import timedelta

import pytest
from playwright.async_api import Locator, expect

from signalflow.clock import utcnow
from tests.browser.conftest import Visit
from tests.browser.installation import Installation, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACEHOLDER = "(title without visible characters)"
INVISIBLE = {
    "zero width": "\u200b\u200b\u2060",
    "fillers": "\u3164\u115f\uffa0",
    "braille": "\u2800 \u2800",
    "marks": "\u0301\u0302",
    "directions": "\u202e\u2066\u200f",
    "variations": "\ufe0f\U000e0020\U000e007f",
}
STACKED = "Stacked" + "".join(f"{letter}{chr(0x0301) * 60}{chr(0x0323) * 60}" for letter in "marks")
WILD = {
    "stacked marks": STACKED,
    "a character wider than a column": "\ufdfd" * 40,
    "one long word": "W" * 300,
    "turned around": "\u202eThis is turned around\u2067 and never turned back",
    "right to left": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 " * 8,
    "lines": "First\u2028second\u2029third\n\n\n\nfourth\t\t\t\tfifth",
    "joined": "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 30,
}


async def pixels(element: Locator) -> bytes:
    """A picture of an element, without animations and carets."""
    return await element.screenshot(animations="disabled")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("/r/boatyard/comments/zz19ab/an_old_hull/", "https://www.reddit.com/r/boatyard/comments/zz19ab/an_old_hull/"),
        ("/user/someone/comments/zz19ac/hi/", "https://www.reddit.com/user/someone/comments/zz19ac/hi/"),
        ("r/boatyard", "https://www.reddit.com/r/boatyard"),
        ("/gallery/zz19ad?a=b#c", "https://www.reddit.com/gallery/zz19ad?a=b#c"),
        ("//i.redd.it/x.png", "https://i.redd.it/x.png"),
        ("https://example.org/a%20b?c", "https://example.org/a%20b?c"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("http://", None),
        ("", None),
    ],
)
async def test_an_address_without_a_host_leads_to_reddit(visit: Visit, address: str, target: str | None) -> None:
    page = await visit("/subreddits")
    link = "async (address) => (await import('/static/dom.js')).outward(address, 'text').getAttribute('href')"
    assert await page.evaluate(link, address) == target


async def test_a_crosspost_links_to_reddit_and_never_to_our_own_host(visit: Visit, installation: Installation) -> None:
    crosspost = post("caz2001", title="A crosspost", is_self=False, url="/r/boatyard/comments/zz19ab/an_old_hull/")
    await installation.store(crosspost)
    page = await visit("/posts/caz2001")
    link = page.get_by_role("link", name="www.reddit.com")
    await expect(link).to_have_attribute("href", "https://www.reddit.com/r/boatyard/comments/zz19ab/an_old_hull/")


@pytest.mark.parametrize("kind", INVISIBLE)
async def test_a_title_that_cannot_be_seen_has_words_in_its_place(
    visit: Visit, installation: Installation, kind: str
) -> None:
    post_id = f"unseen{list(INVISIBLE).index(kind)}"
    await installation.store(post(post_id, title=INVISIBLE[kind], subreddit="unseen"))
    page = await visit("/?subreddit=unseen")
    await page.locator(f"[data-id={post_id}]").get_by_role("link", name=PLACEHOLDER).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(PLACEHOLDER)
    await expect(page).to_have_title(f"{PLACEHOLDER} · signalflow")


@pytest.mark.parametrize("title", ["❤️", "é", "e\u0301", "\u202eabc", "猫", "‽", "0"])
async def test_a_title_that_can_be_seen_is_shown_as_it_is(visit: Visit, title: str) -> None:
    page = await visit("/subreddits")
    shown = "async (title) => (await import('/static/parts/title.js')).titleText(title)"
    assert await page.evaluate(shown, title) == title


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", WILD)
async def test_nothing_that_a_title_holds_leaves_its_place(
    visit: Visit, installation: Installation, kind: str, width: int
) -> None:
    """The rows around it look the same as around a plain title, and no page becomes wider than its window."""
    place = list(WILD).index(kind)
    subreddit, now = f"wild{place}", utcnow()
    seen = {"observed_at": now - timedelta(minutes=1), "first_seen_at": now - timedelta(minutes=2)}
    titles = ("Above", WILD[kind], "Below")
    # All of them are "1 hour ago" until the end of the test.
    above, wild, below = (
        post(f"wild{place}n{n}", title=title, subreddit=subreddit, minutes=90 + n, trend_velocity=3.0 - n, **seen)
        for n, title in enumerate(titles)
    )
    await installation.store(above, wild, below)
    page = await visit(f"/?subreddit={subreddit}")
    await page.set_viewport_size({"width": width, "height": 900})
    for item in (".post-row", ".rising-card"):
        around = [page.locator(f"{item}[data-id={one.id}]") for one in (above, below)]
        title = page.locator(f"{item}[data-id={wild.id}] .title a")
        await expect(title).to_be_visible()
        before = [await pixels(one) for one in around]
        box = await title.bounding_box()
        # Another title of the same height: what is around must not tell the two apart.
        await title.evaluate(
            "(a) => { a.style.height = `${a.getBoundingClientRect().height}px`; a.textContent = 'Plain'; }"
        )
        assert [await pixels(one) for one in around] == before
        assert await title.bounding_box() == box
    for address in (f"/?subreddit={subreddit}", f"/posts/{wild.id}", "/analytics"):
        await page.goto(address)
        await expect(page.locator("h1")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, address
    await page.goto(f"/posts/{wild.id}")
    heading = page.get_by_role("heading", level=1)
    below_it = page.locator(".post-head .links")
    before = [await pixels(below_it)]
    await heading.evaluate(
        "(h1) => { h1.style.height = `${h1.getBoundingClientRect().height}px`; h1.textContent = 'Plain'; }"
    )
    assert [await pixels(below_it)] == before
