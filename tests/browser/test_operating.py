"""What operators do with the dashboard, in a real browser: subreddits, dead letters, workers."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from signalflow.clock import utcnow
from signalflow.domain.standstill import advice
from signalflow.kafka.topics import TopicNames
from signalflow.storage.gaps import close_gap, open_gap
from signalflow.storage.pool import create_pool
from signalflow.storage.subreddits import mark_state
from tests.browser.conftest import HeldBack, NewContext, Visit
from tests.browser.installation import HOSTILE, USER, Installation
from tests.integration.workers import read_topic

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_pausing_a_subreddit_is_stored_and_says_who_did_it(visit: Visit, installation: Installation) -> None:
    page = await visit("/subreddits")
    row = page.locator("tr[data-name=golang]")
    await row.get_by_role("button", name="Pause r/golang").click()
    await expect(row).to_contain_text("paused")
    await expect(row).to_contain_text(f"by {USER}")
    # The row was replaced. A keyboard user goes on from the button in its place.
    await expect(row.get_by_role("button", name="Resume r/golang")).to_be_focused()
    (stored,) = await installation.rows("SELECT paused, changed_by FROM subreddit_config WHERE name = 'golang'")
    assert tuple(stored) == (True, USER)


async def test_many_subreddits_are_added_and_removed_at_once(visit: Visit, installation: Installation) -> None:
    page = await visit("/subreddits")
    await page.get_by_role("button", name="Add subreddits").click()
    await page.get_by_label("Names").fill("r/haskell, ocaml")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator("tr[data-name=haskell]")).to_contain_text("pending")
    await page.get_by_label("Choose r/haskell").check()
    await page.get_by_label("Choose r/ocaml").check()
    await page.locator(".many").get_by_role("button", name="Remove").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.locator("tr[data-name=haskell], tr[data-name=ocaml]")).to_have_count(0)
    watched = "SELECT name FROM subreddit_config WHERE removed_at IS NULL ORDER BY name"
    assert [row["name"] for row in await installation.rows(watched)] == ["golang", "python", "rust", "science"]


async def test_a_new_priority_is_stored_with_its_usual_interval_and_comments_are_followed_by_choice(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/subreddits")
    row = page.locator("tr[data-name=rust]")
    await row.get_by_role("button", name="Edit r/rust").click()
    dialog = page.get_by_role("dialog", name="Edit r/rust")
    await dialog.get_by_label("Priority").select_option("slow")
    await dialog.get_by_label("Comments").select_option("Read them")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row.locator("td", has_text="slow")).to_be_visible()
    await expect(row.get_by_role("button", name="Edit r/rust")).to_be_focused()
    (stored,) = await installation.rows(
        "SELECT priority, interval_seconds, comments FROM subreddit_config WHERE name = 'rust'"
    )
    assert tuple(stored) == ("slow", 600, True)


async def test_an_imported_csv_file_is_stored_only_after_its_changes_were_shown(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/subreddits")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Export CSV").click()
    exported = Path(await (await download.value).path()).read_text()
    assert "python,60,fast,false,false,new" in exported.splitlines()
    changed = (
        exported.replace("python,60,fast,false,false,new", "python,90,medium,true,false,new")
        + "elixir,600,slow,false,true,new\n"
    )
    await page.get_by_role("button", name="Import CSV").click()
    dialog = page.get_by_role("dialog", name="Import subreddits")
    file = {"name": "subreddits.csv", "mimeType": "text/csv", "buffer": changed.encode()}
    await dialog.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
    await expect(dialog.get_by_role("status")).to_have_text("5 rows: 1 new, 1 changed, 3 as they are.")
    assert not await installation.rows("SELECT 1 FROM subreddit_config WHERE name = 'elixir'")
    await dialog.get_by_role("button", name="Import").click()
    await expect(page.locator("tr[data-name=python]")).to_contain_text("paused")
    stored = await installation.rows(
        "SELECT name, interval_seconds, priority, paused, comments FROM subreddit_config "
        "WHERE name IN ('elixir', 'python') ORDER BY name"
    )
    assert [tuple(row) for row in stored] == [
        ("elixir", 600, "slow", False, True),
        ("python", 90, "medium", True, False),
    ]


async def test_the_heat_map_of_coverage_shows_which_hours_miss_posts_and_why(
    visit: Visit, installation: Installation
) -> None:
    hour = (utcnow() - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    gap = {"anchor_ids": ["a"], "after": None, "opened_at": hour + timedelta(hours=1)}
    async with await create_pool(installation.settings, application_name="tests") as pool:
        number = await open_gap(
            pool,
            subreddits=["rust"],
            since=hour + timedelta(minutes=15),
            until=hour + timedelta(minutes=45) - timedelta(seconds=1),
            **gap,  # type: ignore[arg-type]
        )
        await close_gap(pool, number, "given_up", hour + timedelta(minutes=45) - timedelta(seconds=1))
    page = await visit("/operations")
    rust, science = (page.locator(f"tr[data-coverage={name}]") for name in ("rust", "science"))
    await expect(science.locator("td.unknown").first).to_contain_text("100% unknown")
    await expect(science.get_by_role("button")).to_have_count(0)
    cell = rust.get_by_role("button")
    await expect(cell).to_have_count(1)
    await expect(cell).to_have_accessible_name(re.compile(r"r/rust, .*50% missing, 50% unknown"))
    await cell.focus()
    await page.keyboard.press("Enter")
    details = page.locator(f"[data-gap='{number}']")
    await expect(details).to_contain_text("More posts came than Reddit's listing still shows")
    await expect(cell).to_be_focused()


async def test_a_replayed_dead_letter_goes_back_to_its_topic(visit: Visit, installation: Installation) -> None:
    page = await visit("/operations")
    letter = page.locator("[data-letter]").last
    number = await letter.get_attribute("data-letter")
    await letter.get_by_role("button", name=f"Replay letter {number}").click()
    await expect(page.locator(f"[data-letter='{number}']")).to_have_count(0)
    await expect(page.locator(".letters header")).to_contain_text("2 dead, 1 on their way again")
    sent = await read_topic(installation.settings, TopicNames.of(installation.settings).posts_raw)
    assert [(record.key, record.value) for record in sent] == [(b"k0", b'{"broken": 0')]


async def test_a_discarded_dead_letter_says_who_did_it_and_why(visit: Visit, installation: Installation) -> None:
    page = await visit("/operations")
    letter = page.locator("[data-letter]").first
    number = await letter.get_attribute("data-letter")
    await letter.get_by_role("button", name=f"Discard letter {number}").click()
    dialog = page.get_by_role("dialog", name=f"Discard letter {number}?")
    await dialog.get_by_label("Reason").fill("a test wrote it")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(page.locator(f"[data-letter='{number}']")).to_have_count(0)
    await page.get_by_label("State of dead letters").select_option("Resolved")
    await expect(page.locator(f"[data-letter='{number}']")).to_contain_text(f"by {USER}: a test wrote it")
    (stored,) = await installation.rows(
        "SELECT state, resolved_by, resolution FROM dlq_events WHERE id = $1", int(number or 0)
    )
    assert tuple(stored) == ("resolved", USER, "a test wrote it")


async def test_the_dead_letters_of_one_cause_are_discarded_together(visit: Visit, installation: Installation) -> None:
    page = await visit("/operations")
    discard = page.get_by_role("button", name="Discard these")
    await expect(discard).to_be_disabled()
    await page.locator(".letter-groups button").first.click()
    await discard.click()
    dialog = page.get_by_role("dialog", name=re.compile(r"Discard \d+ dead letters?"))
    asked = await dialog.get_by_role("heading").inner_text()
    assert not await installation.rows("SELECT FROM dlq_events WHERE resolution = 'a question'")
    await dialog.get_by_label("Reason").fill("a test wrote them")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(dialog).to_have_count(0)
    await expect(page.locator("[data-letter]")).to_have_count(0)
    stored = await installation.rows("SELECT state, resolved_by FROM dlq_events WHERE resolution = 'a test wrote them'")
    assert stored
    assert asked.startswith(f"Discard {len(stored)} dead letter{'' if len(stored) == 1 else 's'} “")
    assert {tuple(row) for row in stored} == {("resolved", USER)}


async def test_a_late_answer_does_not_replace_the_dead_letters_of_the_state_chosen_since(
    new_context: NewContext,
) -> None:
    page = await (await new_context()).new_page()
    dead, slow = re.compile(r"/dlq/\?state=dead&"), HeldBack()
    await page.route(dead, slow)
    await page.goto("/operations")
    await slow.asked.wait()
    await page.get_by_label("State of dead letters").select_option("Dead again")
    await expect(page.get_by_text("None in this state")).to_be_visible()
    await slow.deliver(page, dead)
    assert await page.get_by_text("None in this state").is_visible()


async def test_a_refreshed_table_keeps_its_focus_and_its_scroll_position_on_a_phone(new_context: NewContext) -> None:
    worker = {
        "name": "a-worker-with-a-long-name", "status": "running", "is_poller": True, "is_leader": True,
        "started_at": "2026-01-01T00:00:00Z", "heartbeat_at": "2026-01-01T00:00:00Z",
        "metrics": {"available": True, "lag": {}, "records_per_second": None},
    }  # fmt: skip

    async def with_a_worker(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json={**await answer.json(), "workers": {"available": True, "items": [worker]}})

    page = await (await new_context(viewport={"width": 360, "height": 800})).new_page()
    await page.clock.install()
    await page.route("**/api/operations/", with_a_worker)
    await page.goto("/operations")
    table = page.get_by_role("region", name="Workers")
    first = await table.locator("tbody tr").element_handle()
    await table.focus()
    await table.evaluate("region => { region.scrollLeft = 40; }")
    await page.clock.fast_forward(3000)
    assert first is not None
    await first.wait_for_element_state("hidden")
    await expect(table.locator("tbody tr")).to_have_count(1)
    await expect(table).to_be_focused()
    assert await table.evaluate("region => region.scrollLeft") == 40


BLOCKED = "blocked_page"
STANDSTILL = {"since": "2026-01-02T03:04:05Z", "reason": BLOCKED, "what_to_do": advice(BLOCKED)}


async def test_each_page_says_while_it_is_live_that_reddit_answers_nothing(new_context: NewContext) -> None:
    page = await (await new_context(timezone_id="UTC")).new_page()
    await page.clock.install()
    answers: list[dict[str, str] | None] = [STANDSTILL]

    async def ready(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json={**await answer.json(), "reddit_answers_nothing": answers[-1]})

    await page.route("**/ready", ready)
    await page.goto("/")
    notice = page.get_by_role("status").filter(has_text="Reddit has answered nothing since")
    await expect(notice).to_contain_text(re.compile(r"2 Jan 2026, 03:04:05 UTC \(blocked_page\)"))
    await expect(notice).to_contain_text("Reddit blocks this address, as it does with most clouds and VPNs")
    await expect(page.locator(".live")).to_have_attribute("data-state", "live")
    await page.get_by_role("link", name="Subreddits").click()
    await expect(page.get_by_role("heading", name="Subreddits")).to_be_visible()
    await expect(notice).to_be_visible()
    answers.append(None)
    await page.clock.fast_forward(10_000)
    await expect(page.get_by_text("Reddit has answered nothing since")).to_be_hidden()


async def test_operations_say_since_when_reddit_answers_nothing_and_what_to_do(new_context: NewContext) -> None:
    page = await (await new_context(timezone_id="UTC")).new_page()
    unanswered = {f"unanswered_{name}": STANDSTILL[name] for name in ("since", "reason")}
    budget = {"available": True, "used": 3, "limit": 60, **unanswered, "what_to_do": STANDSTILL["what_to_do"]}

    async def with_a_standstill(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json={**await answer.json(), "budget": budget})

    await page.route("**/api/operations/", with_a_standstill)
    await page.goto("/operations")
    polling = page.locator(".health li", has_text="Polling")
    await expect(polling.locator(".chip")).to_have_text("look")
    await expect(polling).to_contain_text("Reddit has answered nothing since 02/01/2026, 03:04:05 (blocked_page)")
    await expect(polling).to_contain_text("Reddit blocks this address, as it does with most clouds and VPNs")


async def test_operations_say_what_lag_alone_does_not_tell(new_context: NewContext) -> None:
    lag = {"signalflow.reddit.posts.raw": 12, "signalflow.reddit.posts.enriched": 0}
    told = {"lag": lag, "oldest_unprocessed_seconds": 120.0, "commits_beyond_end": 30, "partitions_standing_still": 2}

    async def with_these_figures(route: Route) -> None:
        answer = await (await route.fetch()).json()
        await route.fulfill(json=answer | {"flow": answer["flow"] | {"available": True} | told})

    page = await (await new_context()).new_page()
    await page.route("**/api/operations/", with_these_figures)
    await page.goto("/operations")
    figure = page.locator(".figure", has_text="Lag")
    for note in ("posts.raw 12", "the oldest 2m old", "commits are 30 beyond the log", "standing still: 2 partitions"):
        await expect(figure).to_contain_text(note)


async def test_a_private_subreddit_says_so_and_an_interval_is_called_the_longest(
    visit: Visit, installation: Installation
) -> None:
    pool = await create_pool(installation.settings, application_name="tests")
    async with pool:
        await mark_state(pool, "science", "private", utcnow())
    page = await visit("/subreddits?status=refused")
    await expect(page.locator("tr[data-name=science] .chip")).to_have_text("private")
    await expect(page.locator("tr[data-name]")).to_have_count(1)
    await expect(page.get_by_role("columnheader", name="Longest interval")).to_be_visible()


async def test_a_rule_is_previewed_and_its_errors_are_shown_in_place_before_it_is_saved(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/alerts")
    await expect(page.get_by_role("navigation").get_by_role("link", name="Alerts")).to_have_attribute(
        "aria-current", "page"
    )
    await page.get_by_role("button", name="New rule").click()
    dialog = page.get_by_role("dialog", name="New rule")
    await dialog.get_by_label("Name").fill("Rockets")
    query = dialog.get_by_label("Query")
    await query.fill("rocket (moon")
    await dialog.get_by_role("button", name="Save").click()
    error = dialog.locator("#query-error")
    await expect(error).to_contain_text("a ( is still open")
    assert await error.locator("pre").text_content() == "rocket (moon\n" + " " * 12 + "^"
    await expect(query).to_have_attribute("aria-invalid", "true")
    await expect(query).to_be_focused()
    await query.fill("rocket subreddit:science")
    await expect(error).to_be_empty()
    await dialog.get_by_role("button", name="Preview").click()
    await expect(dialog.get_by_role("status")).to_have_text("1 match in the last week: 1 post and 0 comments")
    await expect(dialog.locator(".preview-list li")).to_contain_text("Rocket engines explained")
    await dialog.get_by_label("Old hook").check()
    await dialog.get_by_role("button", name="Save").click()
    rule = page.locator("[data-rule]").first
    await expect(rule).to_contain_text("Rockets")
    await expect(rule).to_contain_text("last met never")
    await expect(rule).to_contain_text("tells Old hook")
    await rule.get_by_role("button", name="Pause Rockets").click()
    await expect(rule).to_contain_text("paused")
    await expect(rule.get_by_role("button", name="Resume Rockets")).to_be_focused()
    stored = "SELECT query, created_by, paused_at IS NOT NULL FROM alert_rules WHERE name = 'Rockets'"
    assert [tuple(row) for row in await installation.rows(stored)] == [("rocket subreddit:science", USER, True)]


async def test_a_target_tells_its_secret_once_and_what_a_test_brought(visit: Visit, installation: Installation) -> None:
    page = await visit("/alerts")
    await page.get_by_role("button", name="New target").click()
    dialog = page.get_by_role("dialog", name="New target")
    await dialog.get_by_label("Name").fill("Hook")
    await dialog.get_by_label("Address").fill(f"{installation.url}/hush")
    await dialog.get_by_role("button", name="Make").click()
    told = page.get_by_role("dialog", name="The signing secret")
    await expect(told.get_by_label("Signs what is sent to Hook")).to_have_value(re.compile("^whsec_"))
    await told.get_by_role("button", name="I have it").click()
    target = page.locator("[data-target]", has_text="Hook").last
    await target.get_by_role("button", name="Test Hook").click()
    await expect(target.get_by_role("status")).to_contain_text("The test alert was not taken")
    await expect(target.get_by_role("status")).to_contain_text("SIGNALFLOW_ALERT_NETWORKS")
    assert "whsec_" not in await page.content()
    assert "hush" not in await page.content()
    await target.get_by_role("button", name="Edit Hook").click()
    changing = page.get_by_role("dialog", name="Edit Hook")
    await changing.get_by_label("Name").fill("Hook of the team")
    await changing.get_by_role("button", name="Save").click()
    await expect(page.locator("[data-target]", has_text="Hook of the team")).to_be_visible()
    (stored,) = await installation.rows("SELECT address FROM alert_targets WHERE name = 'Hook of the team'")
    assert stored["address"].endswith("/hush")


async def test_a_message_that_was_given_up_is_sent_again_when_its_target_is_enabled(
    visit: Visit, installation: Installation
) -> None:
    page = await visit("/alerts")
    target = page.locator("[data-target]", has_text="Old hook")
    await expect(target).to_contain_text("it answered 410")
    delivery = page.locator("[data-delivery]")
    await expect(delivery).to_contain_text(HOSTILE)
    await delivery.locator("summary").click()
    await expect(delivery.locator("pre")).to_contain_text("the target answered 410: nobody is there")
    assert await page.evaluate("window.hacked") is None
    await target.get_by_role("button", name="Enable Old hook").click()
    await expect(target).not_to_contain_text("it answered 410")
    await delivery.get_by_role("button", name="Send again to Old hook").click()
    await expect(delivery).to_contain_text("waiting")
    assert [row["state"] for row in await installation.rows("SELECT state FROM alert_deliveries")] == ["waiting"]
    await page.get_by_label("State of deliveries").select_option("Done")
    await expect(page.get_by_text("No deliveries")).to_be_visible()
    assert page.url.endswith("/alerts?state=done")


async def test_a_reader_sees_alerts_without_buttons(new_context: NewContext) -> None:
    async def as_reader(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json={**await answer.json(), "role": "reader"})

    page = await (await new_context()).new_page()
    await page.route("**/api/session/", as_reader)
    await page.goto("/alerts")
    await expect(page.locator("[data-rule]").first).to_be_visible()
    rule = page.locator("[data-rule]", has_text="Launches")
    await rule.get_by_text("What Launches met last").click()
    await expect(rule.get_by_role("listitem")).to_contain_text(HOSTILE)
    await expect(page.locator("[data-target]").first).to_be_visible()
    await expect(page.locator("[data-delivery]")).to_be_visible()
    await expect(page.locator("main").get_by_role("button")).to_have_count(0)
