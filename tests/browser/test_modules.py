"""What the pages' shared modules promise, in a real browser."""

import json
from typing import Any

import pytest
from playwright.async_api import Page, WebSocket, expect

from tests.browser.conftest import NewContext
from tests.browser.installation import Installation, post
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Loads of a Latest whose answers come when the test says so; what they show or report as failed is noted in order.
LOADS = """async () => {
    const { Latest } = await import("/static/latest.js");
    const page = new AbortController();
    const latest = new Latest(page.signal);
    const noted = [];
    const begin = (method, name) => {
        let settle;
        const answer = new Promise((resolve, reject) => { settle = { resolve, reject }; });
        const show = () => noted.push(`${name} shown`);
        const done = latest[method]({ ask: () => answer, show, fail: () => noted.push(`${name} failed`) });
        return {
            succeed: () => { settle.resolve(); return done; },
            fail: () => { settle.reject(new Error(name)); return done; },
        };
    };
    const note = (text) => noted.push(text);
    %s
    return noted;
}"""


async def noted(page: Page, script: str) -> list[str]:
    """What the loads of a script have noted."""
    found: list[str] = await page.evaluate(LOADS % script)
    return found


@pytest.mark.parametrize(
    ("written", "subreddit", "account"),
    [
        ("HarborCats", "HarborCats", "HarborCats"),
        (" r/HarborCats/ ", "HarborCats", "HarborCats"),
        ("/R/HarborCats", "HarborCats", "HarborCats"),
        ("https://www.reddit.com/r/HarborCats/new/?t=day", "HarborCats", "HarborCats"),
        ("old.reddit.com/r/HarborCats", "HarborCats", "HarborCats"),
        ("u/some-one", "u_some-one", "some-one"),
        ("https://www.reddit.com/user/some-one/", "u_some-one", "some-one"),
        ("@some-one", "some-one", "some-one"),
        ("reddit.com", "reddit.com", "reddit.com"),
        ("r/reddit.com", "reddit.com", "reddit.com"),
        ("", "", ""),
    ],
)
async def test_a_name_is_read_as_people_type_or_copy_it(
    modules_page: Page, written: str, subreddit: str, account: str
) -> None:
    script = """async (text) => {
        const { accountName, subredditName } = await import("/static/parts/names.js");
        return [subredditName(text), accountName(text)];
    }"""
    assert await modules_page.evaluate(script, written) == [subreddit, account]


async def test_three_spellings_of_one_name_are_compared_once(modules_page: Page) -> None:
    script = "async (given) => (await import('/static/parts/comparison.js')).once(given)"
    given = [
        "subreddit:Python",
        "author:python",
        "subreddit:python",
        "subreddit:PYTHON",
        "keyword:Moon",
        "keyword:moon",
    ]
    assert await modules_page.evaluate(script, given) == ["subreddit:Python", "author:python", "keyword:Moon"]


@pytest.mark.parametrize("end", ["succeed", "fail"])
async def test_a_load_that_was_overtaken_changes_nothing(modules_page: Page, end: str) -> None:
    script = f"""
        const [older, newer] = [begin("load", "older"), begin("load", "newer")];
        await newer.succeed();
        await older.{end}();
    """
    assert await noted(modules_page, script) == ["newer shown"]


async def test_more_of_a_list_is_shown_unless_another_list_was_asked_for(modules_page: Page) -> None:
    script = """
        await begin("load", "list").succeed();
        const [more, late] = [begin("more", "more"), begin("more", "late")];
        await more.succeed();
        const other = begin("load", "other");
        await late.succeed();
        await other.fail();
    """
    assert await noted(modules_page, script) == ["list shown", "more shown", "other failed"]


async def test_a_page_that_was_left_shows_no_answer(modules_page: Page) -> None:
    script = """
        const load = begin("load", "load");
        page.abort();
        await load.fail();
    """
    assert await noted(modules_page, script) == []


async def test_a_load_is_not_repeated_while_its_answer_is_awaited_or_after_the_page_was_left(
    modules_page: Page,
) -> None:
    script = """
        const ticks = (number) => new Promise((resolve) => setTimeout(resolve, 10 * number));
        const load = begin("load", "load");
        latest.repeat(() => note("repeated"), 10);
        await ticks(5);
        await load.succeed();
        while (!noted.includes("repeated")) await ticks(1);
        page.abort();
        const before = noted.length;
        await ticks(5);
        if (noted.length > before) note("repeated after the page was left");
    """
    found = await noted(modules_page, script)
    assert found[:2] == ["load shown", "repeated"]
    assert set(found[2:]) <= {"repeated"}


async def test_a_page_that_shows_nothing_live_gets_no_posts_until_another_page_asks_for_them(
    new_context: NewContext, installation: Installation
) -> None:
    page = await (await new_context()).new_page()
    frames: list[dict[str, Any]] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(json.loads(frame)))

    page.on("websocket", listen)
    await page.goto("/operations")
    await page.locator("[data-letter]").first.wait_for()
    # Before its socket opens, the page can ask for nothing.
    await page.locator(".live[data-state=live]").wait_for()
    await installation.publish(post("unseen", title="Nobody looks"))
    await until(lambda: any(frame.get("skipped") for frame in frames), "the heartbeat that counts the post as left out")
    assert [frame for frame in frames if frame["type"] == "posts"] == []
    await page.get_by_role("navigation").get_by_role("link", name="Now").click()
    await page.locator(".post-row").first.wait_for()
    await installation.publish(post("seen", title="Somebody looks"))
    await expect(page.locator(".post-row", has_text="Somebody looks")).to_be_visible()


@pytest.mark.parametrize(
    ("formatter", "value", "text"),
    [
        ("decimal", -0.001, "0"),
        ("decimal", -0.01, "-0.01"),
        ("short", -0.4, "0"),
        ("count", -0.0, "0"),
        ("percentage", -0.001, "0%"),
        ("perMinute", -0.0001, "0/min"),
        ("perMinute", -0.5, "-30/min"),
    ],
)
async def test_zero_has_no_sign(modules_page: Page, formatter: str, value: float, text: str) -> None:
    script = "async ([name, value]) => (await import('/static/format.js'))[name](value)"
    # JSON has no minus zero.
    argument = [formatter, value or 0]
    assert await modules_page.evaluate(script if value else script.replace("(value)", "(-0)"), argument) == text


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([100, 4000], [3, 90]),
        ([-50, 100], [1, 4]),
        ([-3, -1], [5, 900]),
        ([-90, 10], [-1, 20]),
        ([0, 0], [-2, 0]),
        ([None, None], [0.001, 0.002]),
    ],
)
async def test_both_axes_of_a_chart_have_zero_at_one_height(
    modules_page: Page, left: list[float | None], right: list[float | None]
) -> None:
    ranges = await modules_page.evaluate(
        """async (columns) => {
            const { commonRange } = await import("/static/parts/axes.js");
            const range = commonRange(columns);
            return columns.map(([low, high]) => range(low, high));
        }""",
        [left, right],
    )
    for (low, high), values in zip(ranges, (left, right), strict=True):
        assert low <= 0 <= high
        assert low < high
        assert all(low <= value <= high for value in values if value is not None)
    zeros = [-low / (high - low) for low, high in ranges]
    assert zeros[0] == pytest.approx(zeros[1])


@pytest.mark.parametrize(
    ("formatter", "ticks"),
    [
        ("count", [0, 0.5, 1]),
        ("decimal", [0, 0.001, 0.002]),
        ("short", [12_310, 12_320, 12_330]),
        ("count", [0, 10, 20]),
    ],
)
async def test_no_two_ticks_of_an_axis_look_the_same(modules_page: Page, formatter: str, ticks: list[float]) -> None:
    texts = await modules_page.evaluate(
        """async ([name, ticks]) => {
            const format = (await import("/static/format.js"))[name];
            return (await import("/static/parts/axes.js")).tickTexts(ticks, format);
        }""",
        [formatter, ticks],
    )
    assert len(set(texts)) == len(ticks)


@pytest.mark.parametrize(
    ("search", "title", "is_met"),
    [
        ("rocket engines", "Engines of a ROCKET", True),
        ("rocket engines", "A rocket", False),
        ('"rocket engines"', "Engines of a rocket", False),
        ('"rocket engines"', "New rocket engines", True),
        ("mars or moon", "To the Moon", True),
        ("red mars or moon", "Mars", False),
        ("rocket -toy", "A toy rocket", False),
        ('rocket -"for sale"', "A rocket", True),
        ("rocket -", "A rocket", True),
        ("???", "Anything", False),
        ("???", "What???", True),
        ("", "Anything", True),
    ],
)
async def test_a_live_post_is_searched_as_the_api_searches(
    modules_page: Page, search: str, title: str, is_met: bool
) -> None:
    script = "async ([title, search]) => (await import('/static/parts/words.js')).meets(title, search)"
    assert await modules_page.evaluate(script, [title, search]) is is_met
