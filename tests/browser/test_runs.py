"""The run history on the page of operations, in a real browser."""

from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from signalflow.domain.run_history import RunReport
from signalflow.domain.words import RunKind, RunOutcome
from signalflow.storage.pool import create_pool
from signalflow.storage.runs import write_runs
from tests.browser.conftest import Visit
from tests.browser.installation import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")


def report(kind: RunKind, outcome: RunOutcome, minutes: float, error: str | None = None) -> RunReport:
    """A run that began so many minutes ago and took half a minute, or goes on."""
    return RunReport(
        id=uuid4(), kind=kind, subject="python" if kind == "first_look" else "", started_ago=minutes * 60,
        ended_ago=None if outcome == "running" else minutes * 60 - 30, outcome=outcome, requests=1234, posts=56,
        comments=7, new=8, gaps=0, errors=0, uses={"listing": 1230, "comments_gap": 4}, error=error,
    )  # fmt: skip


@pytest.fixture(scope="module")
def written() -> list[RunReport]:
    return [
        *(report("polling", "ok", minutes) for minutes in range(10, 40)),
        report("first_look", "partly", 5),
        report("rollup", "failed", 4, "Retryable: the database is away"),
        report("polling", "running", 3),
        report("polling", "running", 2),
    ]


async def opened(visit: Visit, installation: Installation, written: list[RunReport], path: str) -> Page:
    gone = written[-2]
    async with await create_pool(installation.settings, application_name="tests") as pool:
        await write_runs(pool, "worker-1", written)
        await pool.execute(
            "UPDATE runs SET told_at = now() - $2::interval WHERE id = $1", gone.id, timedelta(minutes=2)
        )
    return await visit(path)


async def test_the_newest_runs_say_what_came_of_them_and_a_lost_one_is_not_running(
    visit: Visit, installation: Installation, written: list[RunReport]
) -> None:
    page = await opened(visit, installation, written, "/operations")
    rows = page.get_by_role("region", name="Run history").locator("tbody tr")
    await expect(rows).to_have_count(20)
    await expect(rows.nth(0).locator("td")).to_have_text(
        ["Polling", "Running", "–", "1,234", "56", "7", "8", "0", "0", "worker-1"]
    )
    await expect(rows.nth(0).get_by_title("1,230 listing, 4 comments gap")).to_be_visible()
    await expect(rows.nth(1)).to_contain_text("Ended without saying")
    await expect(rows.nth(2)).to_contain_text("Failed Retryable: the database is away")
    await expect(rows.nth(3)).to_contain_text("First look back python")
    await expect(rows.nth(3).locator("td").nth(2)).to_have_text("30s")
    await page.get_by_role("button", name="Older").last.click()
    await expect(rows).to_have_count(len(written) - 20)
    await page.get_by_role("button", name="Newest").click()
    await expect(rows).to_have_count(20)


async def test_the_filters_of_the_run_history_are_in_the_address_beside_those_of_dead_letters(
    visit: Visit, installation: Installation, written: list[RunReport]
) -> None:
    page = await opened(visit, installation, written, "/operations?letters=resolved")
    rows = page.get_by_role("region", name="Run history").locator("tbody tr")
    await page.get_by_label("Outcome of runs").select_option("Ended without saying")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Kind of runs").select_option("Rollup")
    await expect(page.get_by_text("No such run")).to_be_visible()
    assert page.url.endswith("/operations?letters=resolved&run=rollup&ended=silent")
    page = await visit("/operations?letters=resolved&run=rollup&ended=failed")
    rows = page.get_by_role("region", name="Run history").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(page.get_by_label("Outcome of runs")).to_have_value("failed")
    await expect(page.get_by_text("Left out:")).to_have_count(0)
