"""What the pages say of a search, and of a post that Reddit no longer shows."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from signalflow.clock import utcnow
from signalflow.events import Enriched, Rank
from signalflow.storage.known import mark_not_shown
from signalflow.storage.pool import create_pool
from signalflow.storage.writer import write_batch
from tests.browser.conftest import Visit
from tests.browser.installation import Installation, post
from tests.integration.storage_rows import features
from tests.searches import ONLY_ONE_WAY, SEARCHES

pytestmark = pytest.mark.asyncio(loop_scope="module")


UNKNOWN = "not known from this source"
A_FEED: dict[str, Any] = {
    "current_score": None, "current_comments": None, "current_ratio": None, "over_18": None, "is_self": None,
}  # fmt: skip


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


async def test_a_live_post_meets_a_search_as_on_the_live_stream(visit: Visit) -> None:
    page = await visit("/subreddits")
    script = """async (cases) => {
        const { meets } = await import("/static/parts/words.js");
        return cases.map(([search, title]) => meets(title, search));
    }"""
    cases = [*SEARCHES, *ONLY_ONE_WAY]
    found = await page.evaluate(script, [[search, title] for search, title, _ in cases])
    assert [case for case, is_met in zip(cases, found, strict=True) if case[2] is not is_met] == []


async def test_a_query_lists_what_meets_it_and_a_wrong_one_shows_its_place(
    visit: Visit, installation: Installation
) -> None:
    pool = await create_pool(installation.settings, application_name="tests")
    async with pool:
        await write_batch(pool, [post(f"query{score}", title="Zeppelins", current_score=score) for score in (7, 8)])
    page = await visit("/?q=zeppelin+score%3E7")
    await expect(page.locator(".post-row", has_text="Zeppelins")).to_have_count(1)
    await expect(page.locator(".wrong-query")).to_be_hidden()
    await page.get_by_label("Search posts").fill("zeppelin score>many")
    await expect(page.locator(".wrong-query")).to_have_text(
        "many is no number: write digits, as in score>100\nzeppelin score>many\n               ^"
    )
    await expect(page.locator(".post-row")).to_have_count(0)
    await page.get_by_label("Search posts").fill("zeppelin (")
    await expect(page.locator(".post-row", has_text="Zeppelins")).to_have_count(2)
    await expect(page.locator(".wrong-query")).to_be_hidden()


@pytest.mark.parametrize(
    ("search", "says_more"),
    [
        ("rocket -toy", False),
        ('"mars moon" or android', False),
        ("score>5", True),
        ("\uff53\uff43\uff4f\uff52\uff45\uff1e\uff15", True),
        ("(mars)", True),
        ("mars AND moon", True),
        ("ai*", True),
    ],
)
async def test_a_search_that_may_say_more_than_words_is_left_to_the_server(
    visit: Visit, search: str, says_more: bool
) -> None:
    page = await visit("/subreddits")
    script = "async (search) => (await import('/static/parts/words.js')).saysMore(search)"
    assert await page.evaluate(script, search) is says_more


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
    await page.locator("summary", has_text="Filters").click()
    await page.get_by_label("On Reddit").select_option("No longer shown")
    await expect(page).to_have_url(re.compile(r"/\?shown=0$"))
    await expect(page.locator(".post-row")).to_have_count(1)
    await expect(gone).to_be_visible()
    await page.get_by_label("On Reddit").select_option("Only shown")
    await expect(here).to_be_visible()
    await expect(gone).to_have_count(0)
    page = await visit("/?shown=false")
    gone = page.locator(".post-row", has_text=titles["gone1"])
    await expect(page.get_by_label("On Reddit")).to_have_value("0")
    await expect(page.locator(".post-row")).to_have_count(1)
    await installation.publish(post("alive", title="Just found"))
    await installation.publish(post("gone1", minutes=20, title=titles["gone1"], first_seen_at=seen_at))
    await expect(gone.locator(".not-shown")).to_be_hidden()
    await expect(page.locator(".post-row")).to_have_count(1)
    await expect((await visit("/posts/gone1")).locator(".post-head .not-shown")).to_be_visible()


async def test_a_post_that_is_taken_away_leaves_the_list_what_takes_off_and_its_own_page_at_once(
    visit: Visit, installation: Installation
) -> None:
    words = {"title": "Zyxtitle", "body": "Zyxbody", "author": "zyxauthor", "flair": "Zyxflair"}
    seen_at = utcnow() - timedelta(minutes=1)
    rises = {"minutes": 9, "subreddit": "science", "trend_velocity": 50.0, "is_self": True}
    await installation.store(post("taken1", observed_at=seen_at, **rises, **words, nlp=features(0.5, "zyxkeyword")))
    listed = await visit("/")
    row, card = (listed.locator(kind, has_text="Zyxtitle") for kind in (".post-row", ".rising-card"))
    await expect(row).to_be_visible()
    await expect(card).to_be_visible()
    own = await listed.context.new_page()
    await own.goto("/posts/taken1")
    for word in ("Zyxtitle", "Zyxbody", "zyxauthor", "Zyxflair", "zyxkeyword"):
        await expect(own.locator("main")).to_contain_text(word)
    await expect(own).to_have_title(re.compile("Zyxtitle"))
    await installation.publish(
        post("taken1", **rises, title="", body=None, author=None, removed_by="deleted", first_seen_at=seen_at)
    )
    await expect(row).to_have_count(0)
    await expect(card).to_have_count(0)
    await expect(own.locator(".post-head .gone")).to_be_visible()
    for page in (listed, own):
        assert "zyx" not in (await page.content()).lower()
        assert "zyx" not in (await page.title()).lower()


async def test_numbers_that_a_feed_does_not_tell_are_dashes_and_replace_no_number(
    visit: Visit, installation: Installation
) -> None:
    seen_at = utcnow() - timedelta(minutes=3)
    both = {"minutes": 5, "title": "Of the API and of a feed", "first_seen_at": seen_at}
    told = {"current_score": 77, "current_comments": 9, "trend_velocity": 0.5, "nlp": features(0.0)}
    await installation.store(
        post("fed1", minutes=4, title="Of a feed alone", **A_FEED),
        post("both1", observed_at=seen_at, **both, **told),
    )
    page = await visit("/")
    fed, row = (page.locator(".post-row", has_text=title) for title in ("Of a feed alone", both["title"]))
    await expect(fed.locator(".score")).to_have_text("–")
    await expect(fed.locator(".score")).to_have_attribute("title", UNKNOWN)
    await expect(fed.locator(".comments")).to_have_text("– comments")
    await expect(fed.locator(".comments")).to_have_attribute("title", UNKNOWN)
    await expect(fed.locator(".velocity")).to_have_class("velocity ")
    await installation.publish(post("both1", **both, **A_FEED, nlp=features(0.9)))
    await expect(row.locator(".sentiment")).to_have_text("positive")
    await expect(row.locator(".score")).to_have_text("77")
    await expect(row.locator(".comments")).to_have_text("9 comments")
    await expect(row.locator(".velocity")).to_have_text("+30/min")
    page = await visit("/posts/fed1")
    for label in ("Score", "Comments", "Upvoted", "Trending score"):
        figure = page.locator(".figure").filter(has=page.get_by_text(label, exact=True))
        await expect(figure.locator("dd")).to_have_text(["–", UNKNOWN])
    await installation.publish(post("fed1", minutes=4, title="Of a feed alone", first_seen_at=seen_at, current_score=5))
    score = page.locator(".figure").filter(has=page.get_by_text("Score", exact=True))
    await expect(score.locator("dd")).to_have_text(["5", re.compile("seen ")])


async def test_where_no_score_is_known_the_page_does_not_say_that_nothing_takes_off(
    visit: Visit, installation: Installation
) -> None:
    seen_at = utcnow() - timedelta(minutes=3)
    fed = {"minutes": 4, "title": "Only a feed tells of it", "author": "fed_alone"}
    await installation.store(post("fed2", **fed, **A_FEED, observed_at=seen_at))
    rising = (await visit("/?author=fed_alone")).get_by_role("region", name="Taking off")
    await expect(rising).to_contain_text("What takes off is not known")
    await expect(rising).to_contain_text("No score of these posts is known. Reddit's feeds tell none")
    await installation.publish(post("fed2", **fed, first_seen_at=seen_at, current_score=5))
    await expect(rising).to_contain_text("Nothing takes off at the moment")
    rising = (await visit("/?author=nobody_at_all")).get_by_role("region", name="Taking off")
    await expect(rising).to_contain_text("Nothing takes off at the moment")


async def test_a_post_shows_its_newest_and_its_best_rank_in_each_listing(
    visit: Visit, installation: Installation
) -> None:
    def seen(minutes: int, post_sort: str, rank: int) -> Enriched:
        at = utcnow() - timedelta(minutes=minutes)
        return post("ranked", minutes=40, observed_at=at, rank=Rank(post_sort=post_sort, listing="python", rank=rank))

    await installation.store(post("unranked", minutes=40))
    await installation.store(seen(30, "hot", 7), seen(20, "hot", 2), seen(10, "hot", 5), seen(5, "rising", 1))
    page = await visit("/posts/ranked")
    rows = page.get_by_role("region", name="Ranks", exact=True).locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0).locator("th")).to_have_text("rising of r/python")
    await expect(rows.nth(1).locator("th")).to_have_text("hot of r/python")
    cells = await rows.nth(1).locator("td").all_inner_texts()
    assert (cells[0], cells[2]) == ("5", "2")
    page = await visit("/posts/unranked")
    await expect(page.get_by_text("1 observation", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="Ranks")).to_be_hidden()
