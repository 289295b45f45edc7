"""What users do with the dashboard, in a real browser."""

import asyncio
import csv
import re
from datetime import timedelta

import pytest
from playwright.async_api import Route, WebSocket, expect

from signalflow.clock import utcnow
from signalflow.storage.pool import create_pool
from signalflow.storage.sessions import add_link
from tests.browser.conftest import AXE, HeldBack, NewContext, Visit
from tests.browser.installation import HOSTILE, USER, Installation, post
from tests.integration.accounts_api import PASSWORD
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = (
    "/?subreddit=science", "/posts/rocket", "/digest", "/alerts", "/analytics", "/subreddits", "/operations", "/docs",
)  # fmt: skip
# What a page shows once it has its data.
FILLED = {
    "/?subreddit=science": ".post-row",
    "/posts/rocket": ".uplot",
    "/digest": ".card tbody tr",
    "/alerts": "[data-delivery]",
    "/analytics": ".uplot",
    "/subreddits": "tr[data-name]",
    "/operations": "[data-letter]",
    "/docs": ".operation",
}


async def test_signing_in_leads_to_the_page_that_was_asked_for(
    new_context: NewContext,
) -> None:
    page = await (await new_context(storage_state=None)).new_page()
    await page.goto("/subreddits?search=rust")
    await expect(page).to_have_url(re.compile("/sign-in"))
    await page.get_by_label("Name").fill(USER)
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("no such user")
    await page.get_by_label("Name").fill(USER)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile(r"/subreddits\?search=rust$"))
    await expect(page.locator("tr[data-name]")).to_have_count(1)


async def test_a_sign_in_link_works_only_once(new_context: NewContext, installation: Installation) -> None:
    pool = await create_pool(installation.settings, application_name="tests")
    async with pool:
        now = utcnow()
        assert await add_link(pool, USER, "a-token-of-this-test", now, now + timedelta(minutes=5), who="tests")
    page = await (await new_context(storage_state=None)).new_page()
    await page.goto("/sign-in/link?token=a-token-of-this-test")
    await expect(page.locator(".user")).to_have_text(USER)
    assert "token" not in page.url
    other = await (await new_context(storage_state=None)).new_page()
    await other.goto("/sign-in/link?token=a-token-of-this-test")
    await expect(other.get_by_role("alert")).to_contain_text("used before")


async def test_no_page_opens_after_signing_out(visit: Visit, installation: Installation) -> None:
    pool = await create_pool(installation.settings, application_name="tests")
    async with pool:
        now = utcnow()
        assert await add_link(pool, USER, "a-token-to-leave", now, now + timedelta(minutes=5), who="tests")
    page = await visit("/sign-in/link?token=a-token-to-leave", storage_state=None)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/sign-in"))
    await page.goto("/operations")
    await expect(page).to_have_url(re.compile("/sign-in"))


async def test_a_failed_sign_out_is_told_and_stays_on_the_page(visit: Visit) -> None:
    page = await visit("/subreddits")
    await page.route("**/api/session/", lambda route: route.abort())
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator(".toast")).to_contain_text("You are still signed in: The API does not answer")
    assert page.url.endswith("/subreddits")
    await page.unroute("**/api/session/")

    async def session_has_ended(route: Route) -> None:
        # Not before the click: another request of the page would find it out, and lead to the sign-in page by itself.
        await page.context.clear_cookies()
        await route.fulfill(status=401)

    # It is no failure when the session has already ended elsewhere.
    await page.route("**/api/session/", session_has_ended)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/sign-in"))


async def test_a_new_post_and_newer_numbers_arrive_without_a_reload(visit: Visit, installation: Installation) -> None:
    page = await visit("/")
    await page.evaluate("window.notReloaded = true")
    await installation.publish(post("live1", title="Breaking while you look"))
    row = page.locator(".post-row", has_text="Breaking while you look")
    await expect(row).to_be_visible()
    await expect(row.locator(".score")).to_have_text("1")
    first_seen = utcnow() - timedelta(seconds=20)
    await installation.publish(
        post("live1", title="Breaking while you look", first_seen_at=first_seen, current_score=1234, trend_velocity=7.0)
    )
    await expect(row.locator(".score")).to_have_text("1,234")
    await expect(page.locator(".rising-card", has_text="Breaking while you look")).to_contain_text("+420/min")
    assert await page.evaluate("window.notReloaded")


async def test_the_noise_of_votes_neither_ranks_nor_colours_a_post(visit: Visit, installation: Installation) -> None:
    page = await visit("/?order=score_velocity")
    await expect(page.get_by_label("Sort by")).to_have_value("trend_velocity")
    page = await visit("/")
    title = "Eighty thousand points that stand still"
    noisy = post("still", title=title, current_score=80_804, score_velocity=80.4, trend_velocity=0.0)
    await installation.publish(noisy, post("riser", title="One that rises", trend_velocity=0.5, score_velocity=-3.0))
    riser = page.locator(".rising-card", has_text="One that rises")
    await expect(riser.locator(".velocity")).to_have_class("velocity up")
    row = page.locator(".post-row", has_text=title)
    await expect(row.locator(".score")).to_have_text("80.8k")
    await expect(row.locator(".velocity")).to_have_text("")
    await expect(page.locator(".rising-card", has_text=title)).to_have_count(0)
    await expect((await visit("/posts/rocket")).locator(".figure", has_text="Trend velocity")).to_contain_text("/min")


async def test_a_post_that_the_stream_brings_before_the_page_is_loaded_is_shown(
    new_context: NewContext, installation: Installation
) -> None:
    """The stream is quicker than the database, so the list lacks the post; the page begins to listen only later."""
    page = await (await new_context()).new_page()
    arrived, loading = asyncio.Event(), asyncio.Event()

    async def slow_module(route: Route) -> None:
        loading.set()
        await arrived.wait()
        await route.continue_()

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: arrived.set() if "Quicker than its page" in str(frame) else None)

    page.on("websocket", listen)
    await page.route("**/pages/now.js", slow_module)
    await page.goto("/")
    await loading.wait()
    await page.locator(".live[data-state=live]").wait_for()
    await installation.publish(post("quick1", title="Quicker than its page"))
    await expect(page.locator(".post-row", has_text="Quicker than its page")).to_be_visible()


async def test_posts_that_arrive_while_somebody_reads_wait_behind_a_button(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/", viewport={"width": 1280, "height": 500})
    # Notes that come with the figures make them higher, and then all rows move.
    await expect(page.locator(".figure", has_text="Posts, last hour").locator("dd").first).not_to_have_text("–")
    await page.locator(".post-row", has_text="Plain post p40").scroll_into_view_if_needed()
    read = page.locator(".post-row", has_text="Plain post p38")
    before = await read.bounding_box()
    await installation.publish(post("wait1", title="First that waits"), post("wait2", title="Second that waits"))
    pill = page.get_by_role("button", name="2 new posts")
    await expect(pill).to_be_visible()
    assert await read.bounding_box() == before
    await expect(page.locator(".post-row", has_text="First that waits")).to_have_count(0)
    await pill.click()
    await expect(page.locator(".post-row").first).to_contain_text("that waits")
    await expect(pill).to_be_hidden()


async def test_filters_apply_to_stored_and_live_posts_and_are_in_the_address(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/")
    await page.get_by_label("Search posts").fill("rocket")
    await expect(page.locator(".post-row")).to_have_count(1)
    await expect(page.locator(".post-row")).to_contain_text("Rocket engines explained")
    await expect(page).to_have_url(re.compile(r"/\?q=rocket$"))
    await installation.publish(post("other", title="Of no interest here"), post("second", title="A rocket lands"))
    await expect(page.locator(".post-row", has_text="A rocket lands")).to_be_visible()
    await expect(page.locator(".post-row", has_text="Of no interest")).to_have_count(0)


async def test_a_shared_address_shows_the_same_view(visit: Visit) -> None:
    page = await visit("/")
    await page.get_by_label("Sort by").select_option("score")
    await page.locator("summary", has_text="Filters").click()
    await page.get_by_label("Subreddits").fill("r/python")
    await page.get_by_label("Lowest score").fill("30")
    await expect(page).to_have_url(re.compile("subreddit=python.*min_score=30"))
    await expect(page.locator(".post-row .subreddit", has_text="r/science")).to_have_count(0)
    # p30, p33 ... p57 are posts of r/python, and their score is their number.
    await expect(page.locator(".post-row")).to_have_count(10)
    titles = await page.locator(".post-row .title").all_inner_texts()
    assert titles == [f"Plain post p{number}" for number in range(57, 29, -3)]
    other = await visit(page.url)
    await expect(other.locator(".post-row .title")).to_have_text(titles)
    await expect(other.get_by_label("Sort by")).to_have_value("score")
    await expect(other.get_by_label("Lowest score")).to_have_value("30")


async def test_a_late_answer_does_not_replace_the_rising_posts_of_the_subreddit_chosen_since(
    new_context: NewContext,
) -> None:
    page = await (await new_context()).new_page()
    of_all = re.compile(r"/api/posts/\?order=trend_velocity")
    slow = HeldBack()
    await page.route(of_all, slow)
    await page.goto("/")
    await slow.asked.wait()
    await page.locator("summary", has_text="Filters").click()
    await page.get_by_label("Subreddits").fill("golang")
    await expect(page.get_by_text("Nothing takes off at the moment")).to_be_visible()
    await slow.deliver(page, of_all)
    assert await page.locator(".rising-card", has_text="Rocket engines explained").count() == 0


async def test_the_button_for_older_posts_repeats_no_post(visit: Visit) -> None:
    page = await visit("/?subreddit=python&subreddit=rust&subreddit=science&range=7d")
    await expect(page.locator(".post-row").nth(49)).to_be_attached()
    await page.get_by_role("button", name="Older posts").click()
    await expect(page.get_by_text("That is all in this range")).to_be_visible()
    shown = await page.locator(".post-row").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert len(shown) == len(set(shown))
    assert {f"p{number:02}" for number in range(60)} <= set(shown)


async def test_html_in_a_title_is_shown_as_text_and_never_run(visit: Visit) -> None:
    page = await visit("/")
    await expect(page.locator(".post-row .title", has_text=HOSTILE)).to_be_visible()
    await page.goto("/posts/hostile")
    await expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert await page.evaluate("window.hacked") is None
    assert await page.locator("main img, main script, a[href^=javascript]").count() == 0


async def test_the_history_of_a_post_is_a_chart_and_a_table_and_grows_live(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/posts/rocket")
    await expect(page.locator("canvas").first).to_be_visible()
    await page.get_by_text("As a table").first.click()
    rows = page.locator(".table-of-chart").first.locator("tbody tr")
    await expect(rows).to_have_count(12)
    await expect(rows.last).to_contain_text("4,840")
    await installation.publish(
        post(
            "rocket", title="Rocket engines explained", first_seen_at=utcnow() - timedelta(hours=1), current_score=5001
        )
    )
    await expect(rows).to_have_count(13)
    await expect(page.locator(".figure", has_text="Score").first).to_contain_text("5,001")


async def test_a_late_answer_does_not_replace_the_interval_of_history_chosen_since(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/posts/rocket")
    await page.get_by_text("As a table").first.click()
    rows = page.locator(".table-of-chart").first.locator("tbody tr")
    await expect(rows).to_have_count(12)
    by_hour, slow = re.compile("interval=1h"), HeldBack()
    await page.route(by_hour, slow)
    await page.get_by_role("button", name="By hour").click()
    await slow.asked.wait()
    async with page.expect_response(re.compile("interval=raw")):
        await page.get_by_role("button", name="Observations").click()
    await slow.deliver(page, by_hour)
    await installation.publish(
        post("rocket", title="Rocket engines explained", subreddit="science", current_score=6001)
    )
    await expect(rows.last).to_contain_text("6,001")
    assert await rows.count() == 13


async def test_an_observation_that_arrives_while_the_history_loads_is_shown_last(
    new_context: NewContext, installation: Installation
) -> None:
    page = await (await new_context()).new_page()
    slow = HeldBack()
    await page.route("**/history/**", slow)
    await page.goto("/posts/rocket")
    await slow.asked.wait()
    await page.locator(".live[data-state=live]").wait_for()
    await installation.publish(
        post("rocket", title="Rocket engines explained", subreddit="science", current_score=7001)
    )
    await expect(page.locator(".figure", has_text="Score").first).to_contain_text("7,001")
    slow.let_go()
    await page.get_by_text("As a table").first.click()
    rows = page.locator(".table-of-chart").first.locator("tbody tr")
    await expect(rows).to_have_count(13)
    await expect(rows.last).to_contain_text("7,001")


async def test_a_late_answer_does_not_replace_the_analytics_of_the_range_chosen_since(
    new_context: NewContext,
) -> None:
    page = await (await new_context()).new_page()
    of_a_day, slow = re.compile(r"/api/stats/\?window=24h"), HeldBack()
    await page.route(of_a_day, slow)
    await page.goto("/analytics")
    await slow.asked.wait()
    await page.get_by_label("Time range").select_option("1h")
    posts = page.locator(".figure", has_text="Posts").locator("dd").first
    # p00, p01, p02, rocket and hostile.
    await expect(posts).to_have_text("5")
    await slow.deliver(page, of_a_day)
    assert await posts.text_content() == "5"


async def test_without_the_chart_library_tables_show_the_numbers(new_context: NewContext) -> None:
    context = await new_context()
    await context.route("**/vendor/*", lambda route: route.abort())
    page = await context.new_page()
    await page.goto("/posts/rocket")
    await expect(page.get_by_text("No charts on this server").first).to_be_visible()
    await expect(page.locator("figure tbody tr").first).to_be_visible()


async def test_a_page_says_that_it_is_stale_and_catches_up_when_the_api_is_back(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/")
    await page.evaluate("window.notReloaded = true")
    await page.locator(".post-row").first.wait_for()
    await asyncio.to_thread(installation.stop)
    try:
        state = page.locator(".live")
        await expect(state).to_contain_text("Stale since")
        await installation.publish(post("missed", title="Published while the API was away"))
    finally:
        await asyncio.to_thread(installation.start)
    await expect(state).to_have_text("Live", timeout=15_000)
    await expect(page.locator(".post-row", has_text="Published while the API was away")).to_be_visible()
    assert await page.evaluate("window.notReloaded")


async def test_a_returning_network_opens_no_second_socket_while_one_connects(
    new_context: NewContext,
) -> None:
    page = await (await new_context()).new_page()
    await page.add_init_script("""
        window.sockets = [];
        window.WebSocket = class extends EventTarget {
            static OPEN = 1;
            constructor(address) { super(); if (String(address).includes("/ws/posts/")) sockets.push(this); }
            close() {}
        };
    """)
    await page.goto("/")
    await until(lambda: page.evaluate("sockets.length === 1"), "the first socket")
    await page.evaluate("sockets[0].dispatchEvent(new Event('close'))")
    await until(lambda: page.evaluate("sockets.length === 2"), "the socket that follows it")
    await page.evaluate("dispatchEvent(new Event('online'))")
    assert await page.evaluate("sockets.length") == 2


async def test_the_post_list_stays_bounded_in_a_flood_of_posts(visit: Visit, installation: Installation) -> None:
    page = await visit("/")
    await page.locator(".post-row").first.wait_for()
    await installation.publish(*(post(f"flood{number}", title=f"Flood {number}") for number in range(400)))
    # The posts are on two partitions, so any of them may come last.
    await expect(page.locator(".figure", has_text="Observations").locator("dd").first).to_have_text("400")
    await expect(page.locator(".post-row", has_text="Flood").first).to_be_visible()
    assert await page.locator(".post-row").count() <= 300


async def test_the_keyboard_reaches_the_content_and_every_tab(visit: Visit) -> None:
    page = await visit("/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    for name in ("Analytics", "Subreddits", "Operations", "Now"):
        tab = page.get_by_role("navigation").get_by_role("link", name=name)
        await tab.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        await expect(tab).to_have_attribute("aria-current", "page")


async def test_a_page_that_loads_slowly_takes_the_focus_from_nobody_who_skipped_to_the_content(
    new_context: NewContext,
) -> None:
    page = await (await new_context()).new_page()
    moved_on, loading = asyncio.Event(), asyncio.Event()

    async def slow_module(route: Route) -> None:
        loading.set()
        await moved_on.wait()
        await route.continue_()

    await page.route("**/pages/now.js", slow_module)
    await page.goto("/")
    await loading.wait()
    await page.get_by_text("Skip to content").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    tab = page.get_by_role("navigation").get_by_role("link", name="Analytics")
    await tab.focus()
    moved_on.set()
    await expect(page.get_by_role("heading", level=1, name="Now")).to_be_visible()
    await expect(tab).to_be_focused()


@pytest.mark.parametrize("path", [*PAGES, "/sign-in"])
async def test_pages_are_accessible_in_both_themes_and_fit_a_phone_and_a_large_screen(
    new_context: NewContext, path: str
) -> None:
    """axe-core finds no violation of WCAG 2.2 A and AA, and nothing is wider than the window."""
    context = await new_context(reduced_motion="reduce")
    # The content security policy forbids a script element.
    await context.add_init_script(path=AXE)
    page = await context.new_page()
    # Posts are as old as some hours: where it is just after midnight, the day before has most of them.
    await page.goto(f"{path}?day={utcnow() - timedelta(minutes=30):%Y-%m-%d}" if path == "/digest" else path)
    if path in FILLED:
        await page.locator(FILLED[path]).first.wait_for()
    all_rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    # Only these rules depend on theme and width, so the others are not checked in all four combinations.
    of_looks = {"type": "rule", "values": ["color-contrast", "link-in-text-block", "target-size"]}
    views = ((360, "dark", all_rules), (360, "light", of_looks), (1920, "light", all_rules), (1920, "dark", of_looks))
    for width, scheme, rules in views:
        await page.set_viewport_size({"width": width, "height": 1000})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"too wide at {width}"
        found = await page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
        broken = [
            (rule["id"], node["html"], node["failureSummary"]) for rule in found["violations"] for node in rule["nodes"]
        ]
        assert broken == [], f"{path} at {width} in {scheme}"


@pytest.mark.parametrize("page_of", ["/", "/alerts", "/analytics", "/subreddits", "/operations"])
async def test_a_filter_that_a_page_does_not_know_is_named(visit: Visit, page_of: str) -> None:
    page = await visit(f"{page_of}?autor=somebody")
    await expect(page.get_by_role("alert")).to_contain_text("Left out: autor")
    page = await visit(page_of)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    ("address", "left_out"),
    [
        ("/?range=2d", "range=2d"),
        ("/?order=loudest&range=1h", "order=loudest"),
        ("/?sentiment=happy", "sentiment=happy"),
        ("/?trending=maybe", "trending=maybe"),
        ("/?author=ada&author=bob", "author=bob"),
        ("/analytics?rank=loudest&measure=noise&range=15m", "rank=loudest, measure=noise, range=15m"),
        ("/analytics?compare=colour:red&compare=author:ada&compare=keyword:", "compare=colour:red, compare=keyword:"),
        ("/analytics?" + "&".join(f"compare=author:a{n}" for n in range(6)), "compare=author:a5"),
        ("/subreddits?status=lost&sort=size&priority=urgent", "status=lost, sort=size, priority=urgent"),
        ("/operations?letters=alive&run=marathon&ended=fine", "letters=alive, run=marathon, ended=fine"),
        ("/posts/rocket?interval=2h&comments=worst", "interval=2h, comments=worst"),
    ],
)
async def test_a_value_that_is_none_of_a_choice_is_named_and_left_out(
    visit: Visit, address: str, left_out: str
) -> None:
    page = await visit(address)
    await expect(page.get_by_role("alert").locator("strong")).to_have_text(f"Left out: {left_out}")


@pytest.mark.parametrize(
    "address",
    [
        "/?range=7d&order=score_velocity&sentiment=positive&trending=true&subreddit=python&subreddit=rust",
        "/analytics?range=30d&rank=score&measure=engagement&compare=author:ada&compare=author:bob",
        "/subreddits?status=refused&sort=changed_at&priority=slow",
        "/operations?letters=resolved&stage=decode&error=Invalid",
        "/operations?letters=",
        "/posts/rocket?interval=1h&comments=old",
    ],
)
async def test_what_a_page_writes_into_its_address_is_not_named_as_left_out(visit: Visit, address: str) -> None:
    page = await visit(address)
    await expect(page.locator(".page > *").first).to_be_visible()
    await expect(page.get_by_text("Left out:")).to_have_count(0)


async def test_the_address_filters_by_author_and_days(visit: Visit, installation: Installation) -> None:
    page = await visit("/?author=NOBODY_AT_ALL")
    await expect(page.get_by_text("No post matches")).to_be_visible()
    await expect(page.get_by_label("Author")).to_have_value("NOBODY_AT_ALL")
    page = await visit("/?created_from=2001-01-01T00:00:00Z&created_to=2001-01-02T00:00:00Z")
    await expect(page.get_by_text("No post matches")).to_be_visible()
    page = await visit("/?created_from=2001-01-01T00:00:00Z")
    await expect(page.locator(".post-row").first).to_be_visible()


async def test_a_search_filters_every_panel_of_the_page(visit: Visit, installation: Installation) -> None:
    page = await visit("/?q=plain")
    count = page.locator(".figure", has_text="Posts, last hour").locator("dd").first
    # p00, p01 and p02 are plain posts of the last hour; rocket and hostile are not plain.
    await expect(count).to_have_text("3")
    await expect(page.get_by_text("Nothing takes off at the moment")).to_be_visible()
    await installation.publish(
        post("loud", title="A loud riser", trend_velocity=3.0), post("calm", title="A plain riser", trend_velocity=2.0)
    )
    await expect(page.locator(".rising-card", has_text="A plain riser")).to_be_visible()
    assert await page.locator(".rising-card", has_text="A loud riser").count() == 0
    page = await visit("/?author=nobody")
    await expect(page.locator(".figure", has_text="Posts, last hour").locator("dd").first).to_have_text("0")
    await expect(page.get_by_text("Nothing takes off at the moment")).to_be_visible()
    page = await visit("/?q=rocket")
    await expect(page.locator(".rising-card", has_text="Rocket engines explained")).to_be_visible()


async def test_the_syntax_of_a_search_is_one_click_away(visit: Visit) -> None:
    for path in ("/", "/analytics"):
        page = await visit(path)
        help_text = page.get_by_text('"rocket launch"')
        await expect(help_text).to_be_hidden()
        await page.get_by_label("How to search").click()
        await expect(help_text).to_be_visible()
        await expect(page.get_by_text("mars or moon", exact=True)).to_be_visible()
        await expect(page.get_by_text("rocket -toy")).to_be_visible()


async def test_an_author_is_a_link_to_their_posts(visit: Visit, installation: Installation) -> None:
    await installation.store(post("of1", title="By somebody else", author="Some_One-Else", minutes=3))
    for path in ("/", "/posts/of1", "/analytics?author=some_one-else"):
        page = await visit(path)
        await page.get_by_role("link", name="u/Some_One-Else").first.click()
        await expect(page).to_have_url(re.compile(r"/\?author=Some_One-Else$"))
        await expect(page.locator(".post-row")).to_have_count(1)
        await expect(page.locator(".post-row")).to_contain_text("By somebody else")
        await expect(page.get_by_label("Author")).to_have_value("Some_One-Else")


async def test_on_a_phone_the_search_comes_first(visit: Visit) -> None:
    for path in ("/", "/analytics"):
        page = await visit(path, viewport={"width": 390, "height": 800})
        await page.locator(".figure").first.wait_for()
        search = await page.get_by_label("Search posts").bounding_box()
        first = await page.locator(".figures, .card").first.bounding_box()
        assert search is not None
        assert first is not None
        assert search["y"] + search["height"] <= first["y"], path
        assert search["y"] < 200, path


async def test_a_range_replaces_the_days_and_the_days_replace_a_range(visit: Visit) -> None:
    page = await visit("/?created_from=2001-01-01T00:00:00Z&created_to=2001-01-02T00:00:00Z")
    await expect(page.get_by_label("Time range")).to_have_value("days")
    await page.get_by_label("Time range").select_option("7d")
    await expect(page).to_have_url(re.compile(r"/\?range=7d$"))
    await expect(page.locator(".post-row").first).to_be_visible()
    for path in ("/", "/analytics"):
        page = await visit(path)
        await page.get_by_label("Time range").select_option("days")
        await expect(page.get_by_label("From day")).to_be_focused()
        await page.get_by_label("From day").fill("2001-01-01")
        await page.get_by_label("To day").fill("2001-01-02")
        await expect(page).to_have_url(re.compile("created_from=200[01]-.*created_to=2001-"))
        await expect(page.get_by_label("Time range")).to_have_value("days")
        await page.get_by_role("button", name="Clear").click()
        await expect(page).to_have_url(re.compile(rf"{path}$"))
        await expect(page.get_by_label("Time range")).to_have_value("24h")


async def test_an_emptied_search_keeps_the_focus(visit: Visit) -> None:
    page = await visit("/")
    search = page.get_by_label("Search posts")
    await search.fill("rocket")
    await expect(page.locator(".post-row")).to_have_count(1)
    await search.fill("")
    await expect(page.locator(".post-row").nth(5)).to_be_visible()
    await expect(search).to_be_focused()


async def test_the_api_is_described_on_a_page_of_our_own(visit: Visit) -> None:
    page = await visit("/docs")
    await expect(page.locator("summary", has_text="GET /api/posts/").first).to_be_visible()
    await page.get_by_label("Search the API").fill("api keywords")
    await expect(page.locator(".operation:visible summary", has_text="/api/posts/")).to_have_count(0)
    entry = page.locator("summary", has_text="GET /api/keywords/")
    await entry.click()
    await expect(page.get_by_role("region", name="Parameters of /api/keywords/")).to_contain_text("window")


async def test_the_posts_of_the_view_can_be_saved_as_a_table(visit: Visit) -> None:
    page = await visit("/?q=plain&range=1h")
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Export").click()
    saved = await saving.value
    assert saved.suggested_filename == "posts.csv"
    with (await saved.path()).open(encoding="utf-8", newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {"p00", "p01", "p02"}
