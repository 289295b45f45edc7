"""What the page of operations says of erasure, in a real browser."""

import pytest
from playwright.async_api import expect

from signalflow.storage.pool import create_pool
from signalflow.storage.texts import POSTS, mark_swept
from tests.browser.conftest import Visit
from tests.browser.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")

ERASED = """
INSERT INTO erasures (post_id, removed_by, seen_at, erased_at)
SELECT 'gone' || number, 'author', now() - number * interval '1 second', now() FROM generate_series(2, 4) AS number
"""


async def test_operations_say_how_much_was_erased_how_quickly_and_how_far_the_sweep_is(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/operations")
    figures = page.get_by_role("region", name="Erasure").locator("dl > div")
    await expect(figures.nth(0)).to_contain_text("–from seen as taken away")
    await expect(figures.nth(3)).to_contain_text("–when the last whole round ended")
    async with await create_pool(installation.settings, application_name="tests") as pool:
        await pool.execute(ERASED)
        await pool.execute(
            "INSERT INTO comment_erasures (comment_id, removed_by, seen_at) "
            "SELECT 'c', 'deleted', now() - interval '3 seconds'"
        )
        await mark_swept(pool, POSTS, "1abc")
        await mark_swept(pool, POSTS, "")
    await page.reload()
    await expect(figures.nth(0)).to_contain_text("3smedian; the longest took 4s")
    await expect(figures.nth(1)).to_contain_text("Last 24 hours43 posts, 1 comment")
    await expect(figures.nth(2)).to_contain_text("3 posts, 1 comment; topics keep their text 7 days at most")
    await expect(figures.nth(4)).to_contain_text("–when the last whole round ended")
    await expect(figures.nth(3)).to_contain_text("this round began")
    await expect(figures.nth(3)).not_to_contain_text("–")
