"""What the pages' shared modules promise, in a real browser."""

import json
from typing import Any

import pytest
from playwright.async_api import WebSocket, expect

from tests.browser.conftest import NewContext, Visit
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


async def noted(visit: Visit, script: str) -> list[str]:
    """What the loads of a script have noted."""
    page = await visit("/subreddits")
    found: list[str] = await page.evaluate(LOADS % script)
    return found


@pytest.mark.parametrize("end", ["succeed", "fail"])
async def test_a_load_that_was_overtaken_changes_nothing(visit: Visit, end: str) -> None:
    script = f"""
        const [older, newer] = [begin("load", "older"), begin("load", "newer")];
        await newer.succeed();
        await older.{end}();
    """
    assert await noted(visit, script) == ["newer shown"]


async def test_more_of_a_list_is_shown_unless_another_list_was_asked_for(visit: Visit) -> None:
    script = """
        await begin("load", "list").succeed();
        const [more, late] = [begin("more", "more"), begin("more", "late")];
        await more.succeed();
        const other = begin("load", "other");
        await late.succeed();
        await other.fail();
    """
    assert await noted(visit, script) == ["list shown", "more shown", "other failed"]


async def test_a_page_that_was_left_shows_no_answer(visit: Visit) -> None:
    script = """
        const load = begin("load", "load");
        page.abort();
        await load.fail();
    """
    assert await noted(visit, script) == []


async def test_a_load_is_not_repeated_while_its_answer_is_awaited_or_after_the_page_was_left(visit: Visit) -> None:
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
    found = await noted(visit, script)
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
    await installation.publish(post("unseen", title="Nobody looks"))
    await until(lambda: any(frame.get("skipped") for frame in frames), "the heartbeat that counts the post as left out")
    assert [frame for frame in frames if frame["type"] == "posts"] == []
    await page.get_by_role("navigation").get_by_role("link", name="Now").click()
    await page.locator(".post-row").first.wait_for()
    await installation.publish(post("seen", title="Somebody looks"))
    await expect(page.locator(".post-row", has_text="Somebody looks")).to_be_visible()
