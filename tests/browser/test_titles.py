"""What strangers put into titles and addresses stays in its place."""

from datetime import timedelta

import pytest
from playwright.async_api import Locator, Page, expect

from signalflow.clock import utcnow
from tests.browser.conftest import Visit
from tests.browser.installation import Installation, post

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIDTHS = (1280, 390)
# Nothing is scrolled into view then, so the bar of a phone never covers a row.
HIGH = 3000
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
        ("example.org/a?b=c", "https://example.org/a?b=c"),
        ("www.example.org", "https://www.example.org/"),
        ("old.reddit.com/r/boatyard", "https://old.reddit.com/r/boatyard"),
        ("пример.рф:8080/x", "https://xn--e1afmkfd.xn--p1ai:8080/x"),
        ("https:example.org/x", "https://example.org/x"),
        ("HTTP:/example.org/x", "http://example.org/x"),
        ("https:\\\\example.org\\x", "https://example.org/x"),
        (" https://example.org ", "https://example.org/"),
        ("gallery/zz19ad", "https://www.reddit.com/gallery/zz19ad"),
        ("self.boatyard", "https://www.reddit.com/self.boatyard"),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        (" javascript:alert(1)", None),
        ("mailto:mira@example.org", None),
        ("data:text/html,x", None),
        ("http://", None),
        ("", None),
    ],
)
async def test_an_address_without_a_host_leads_to_reddit(modules_page: Page, address: str, target: str | None) -> None:
    link = "async (address) => (await import('/static/dom.js')).outward(address, 'text').getAttribute('href')"
    assert await modules_page.evaluate(link, address) == target


async def test_a_crosspost_links_to_reddit_and_never_to_our_own_host(visit: Visit, installation: Installation) -> None:
    crosspost = post("caz2001", title="A crosspost", is_self=False, url="/r/boatyard/comments/zz19ab/an_old_hull/")
    await installation.store(crosspost)
    page = await visit("/posts/caz2001")
    link = page.get_by_role("link", name="www.reddit.com")
    await expect(link).to_have_attribute("href", "https://www.reddit.com/r/boatyard/comments/zz19ab/an_old_hull/")


async def test_a_title_that_cannot_be_seen_has_words_in_its_place(visit: Visit, installation: Installation) -> None:
    posts = [post(f"unseen{n}", title=title, subreddit="unseen") for n, title in enumerate(INVISIBLE.values())]
    await installation.store(*posts)
    page = await visit("/?subreddit=unseen")
    for one, kind in zip(posts, INVISIBLE, strict=True):
        await page.locator(f"[data-id={one.id}]").get_by_role("link", name=PLACEHOLDER).click()
        await expect(page.get_by_role("heading", level=1), kind).to_have_text(PLACEHOLDER)
        await expect(page, kind).to_have_title(f"{PLACEHOLDER} · signalflow")
        await page.go_back()


@pytest.mark.parametrize("title", ["❤️", "é", "e\u0301", "\u202eabc", "猫", "‽", "0"])
async def test_a_title_that_can_be_seen_is_shown_as_it_is(modules_page: Page, title: str) -> None:
    shown = "async (title) => (await import('/static/parts/title.js')).titleText(title)"
    assert await modules_page.evaluate(shown, title) == title


# Where titles are on the page, and how large they are.
PLACES = """(titles) => titles.map((title) => {
    const { x, y, width, height } = title.getBoundingClientRect();
    return [x + scrollX, y + scrollY, width, height];
})"""
# Puts another title of the same height in the place of each.
DISGUISE = """(titles) => {
    for (const title of titles) {
        title.dataset.held = title.textContent;
        title.style.height = `${title.getBoundingClientRect().height}px`;
        title.textContent = "Plain";
    }
}"""
PUT_BACK = """(titles) => {
    for (const title of titles) {
        title.style.height = "";
        title.textContent = title.dataset.held;
    }
}"""


async def changed_by(titles: Locator, around: Locator) -> list[int]:
    """Which elements around titles tell them apart from plain titles of the same height, by their number.

    The titles must not move. They are put back.
    """
    neighbours = await around.all()
    before, places = [await pixels(one) for one in neighbours], await titles.evaluate_all(PLACES)
    await titles.evaluate_all(DISGUISE)
    after = [await pixels(one) for one in neighbours]
    assert await titles.evaluate_all(PLACES) == places
    await titles.evaluate_all(PUT_BACK)
    return [n for n in range(len(neighbours)) if before[n] != after[n]]


async def fits(page: Page, width: int) -> bool:
    return int(await page.evaluate("document.documentElement.scrollWidth")) <= width


# A phone shows five posts as rising: two of these, and the plain ones around them.
@pytest.mark.parametrize("kinds", [list(WILD)[start : start + 2] for start in range(0, len(WILD), 2)], ids=", ".join)
async def test_nothing_that_a_title_holds_leaves_its_place_in_a_list(
    visit: Visit, installation: Installation, kinds: list[str]
) -> None:
    """The rows around it look the same as around a plain title, and no page becomes wider than its window."""
    subreddit, now = f"wild{list(WILD).index(kinds[0])}", utcnow()
    seen = {"observed_at": now - timedelta(minutes=1), "first_seen_at": now - timedelta(minutes=2)}
    titles = ["Plain", *(title for kind in kinds for title in (WILD[kind], "Plain"))]
    # All of them are "1 hour ago" until the end of the test.
    await installation.store(
        *(
            post(f"{subreddit}n{n}", title=title, subreddit=subreddit, minutes=90 + n, trend_velocity=9.0 - n, **seen)
            for n, title in enumerate(titles)
        )
    )
    page = await visit(f"/?subreddit={subreddit}")
    # The last thing that changes the look of a card.
    await expect(page.locator(".rising-card .spark .line[d]")).to_have_count(len(titles))
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": HIGH})
        assert await fits(page, width), width
        for item in (".post-row", ".rising-card"):
            wild, plain = (page.locator(f"{item}:nth-child({which})") for which in ("even", "odd"))
            await expect(wild).to_have_count(len(kinds))
            assert await changed_by(wild.locator(".title a"), plain) == [], (item, width)
    await page.goto(f"/analytics?subreddit={subreddit}")
    await expect(page.locator(".posts-table .title-text")).to_have_count(len(titles))
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": HIGH})
        assert await fits(page, width), width


async def test_nothing_that_a_title_holds_leaves_the_head_of_its_page(visit: Visit, installation: Installation) -> None:
    posts = [post(f"head{n}", title=title) for n, title in enumerate(WILD.values())]
    await installation.store(*posts)
    page = await visit("/subreddits")
    for one, kind in zip(posts, WILD, strict=True):
        await page.goto(f"/posts/{one.id}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": HIGH})
            assert await fits(page, width), (kind, width)
            assert await changed_by(page.locator("h1"), page.locator(".post-head .links")) == [], (kind, width)
