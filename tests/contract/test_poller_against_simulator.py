"""The poller with the real client against the simulator: whatever goes wrong between them, polling goes on."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from msgspec import UNSET
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from signalflow import tracing
from signalflow.clock import steady, utcnow
from signalflow.domain.lease import REQUEST_MARGIN, may_start
from signalflow.domain.subreddits import Subreddit
from signalflow.events import Envelope
from signalflow.metrics import REGISTRY
from signalflow.open_telemetry import OpenTelemetry
from tests.contract.poller_run import BREAKER_SECONDS, PUBLISH_SPACING, SPACING, World, begin, finds, running
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("quick")
async def test_new_posts_are_published_once_with_their_body_and_refreshes_without(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        added = await run.add("python", 5)
        await until(lambda: set(world.ids("new")).issuperset(added), "the new posts")
        await until(lambda: set(world.ids("refresh")).issuperset(added), "a second observation of each")
    assert max(Counter(world.ids("new")).values()) == 1
    for envelope in world.published:
        assert (envelope.payload.body is UNSET) is (envelope.mode == "refresh")
        assert envelope.payload.created_utc <= envelope.metadata.observed_at + timedelta(seconds=2)
    times: dict[str, list[datetime]] = {}
    for envelope in world.published:
        times.setdefault(envelope.payload.id, []).append(envelope.metadata.observed_at)
    for observed in times.values():
        assert all((after - before).total_seconds() > PUBLISH_SPACING - 0.5 for before, after in pairwise(observed))


@pytest.mark.usefixtures("quick")
async def test_what_is_published_of_an_answer_carries_the_context_of_its_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, contexts = InMemorySpanExporter(), list[tuple[str, bytes]]()
    publish = world.publish

    async def traced(envelopes: Sequence[Envelope]) -> list[bool]:
        contexts.extend(tracing.headers())
        return await publish(envelopes)

    monkeypatch.setattr(world, "publish", traced)
    tracing.use(OpenTelemetry(SimpleSpanProcessor(exporter), "w1"))
    try:
        async with running(world) as run:
            await begin(run)
            await finds(run)
    finally:
        tracing.end()
    requests = {f"{each.context.span_id:016x}": each.name for each in exporter.get_finished_spans()}
    assert "reddit listing" in {requests[context.decode().split("-")[2]] for _, context in contexts}


@pytest.mark.usefixtures("quick")
async def test_an_edit_travels_with_the_new_body(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        (added,) = await run.add("python")
        await until(lambda: added in world.ids("new"), "the post")
        await run.control(edit=f"t3_{added}")
        await until(
            lambda: any(
                e.payload.id == added and e.mode == "refresh" and e.payload.body is not UNSET for e in world.published
            ),
            "the edited text",
        )


@pytest.mark.usefixtures("quick")
async def test_requests_keep_their_distance_one_at_a_time_and_name_groups_and_batches(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await until(lambda: len(run.requests("/r/")) >= 8 and bool(run.requests("/api/info")), "some polls")
        starts = [entry.real for entry in run.requests() if not entry.path.startswith(("/api/v1", "/__"))]
    # The log has arrivals, not starts: a slow request before a quick one comes a little nearer.
    assert min(after - before for before, after in pairwise(starts)) >= SPACING * 0.3
    assert len(starts) / (starts[-1] - starts[0]) <= 1.2 / SPACING
    for entry in run.requests("/r/"):
        assert entry.path.lower().startswith("/r/askscience+funny+python/new?")
        assert "limit=100" in entry.path
        assert "count=" not in entry.path
    assert not run.requests("/comments")


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503, "count": 3},
    "504": {"status": 504},
    "520": {"status": 520},
    "522": {"status": 522},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "1"}},
    "429 with a Retry-After that is no number": {"status": 429, "headers": {"Retry-After": "soon"}},
    "429 as JSON without Retry-After": {"status": 429, "ct": "application/json"},
    "429 with a reset that is no number": {
        "status": 429,
        "ct": "application/json",
        "headers": {"x-ratelimit-reset": "x", "x-ratelimit-remaining": "many", "x-ratelimit-used": "-1"},
    },
    "401 as HTML": {"status": 401},
    "HTML with 200": {"html": True},
    "truncated JSON": {"truncate": True},
    "a body that is no listing": {"body": "{}", "ct": "application/json"},
    "a list instead of a listing": {"body": "[]", "ct": "application/json"},
    "a connection reset": {"drop": True},
    "no rate-limit headers": {"rl": False},
    "rate-limit headers that are no numbers": {
        "headers": {"x-ratelimit-remaining": "nan", "x-ratelimit-reset": "-5", "x-ratelimit-used": ""}
    },
}


@pytest.mark.parametrize("fault", list(FAULTS))
@pytest.mark.usefixtures("quick")
async def test_polling_goes_on_after(world: World, fault: str) -> None:
    async with running(world) as run:
        await begin(run)
        for path in ("/r/", "/api/info"):
            await run.control(path=path, **FAULTS[fault])
            await until(lambda: not run.simulator.simulator.faults, f"{fault} to be met")
            await finds(run)
        met = len(run.requests("/api/info"))
        await until(lambda: len(run.requests("/api/info")) > met, "another batch of refreshes")
    assert max(Counter(world.ids("new")).values()) == 1


@pytest.mark.usefixtures("quick")
async def test_a_stalled_request_times_out_and_polling_goes_on(world: World) -> None:
    async with running(world, timeout=0.5) as run:
        await begin(run)
        await run.control(path="/r/", delay=20)
        await until(lambda: not run.simulator.simulator.faults, "the stall to be met")
        await finds(run)


@pytest.mark.parametrize("status", [401, 429, 500])
@pytest.mark.usefixtures("quick")
async def test_a_token_endpoint_that_fails_does_not_end_polling(world: World, status: int) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/api/v1/access_token", status=status, count=2)
        await run.control(expire_tokens=True)
        await until(lambda: not run.simulator.simulator.faults, "the refused tokens")
        await finds(run)


@pytest.mark.usefixtures("quick")
async def test_a_lost_token_costs_one_token_request(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        before = len(run.requests("/api/v1"))
        await run.control(expire_tokens=True)
        await finds(run)
        assert len(run.requests("/api/v1")) == before + 1


@pytest.mark.usefixtures("quick")
async def test_a_429_stops_every_kind_of_request_until_the_time_it_names(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/", contains="/r/", status=429, headers={"Retry-After": "1"})
        await until(lambda: any(entry.status == 429 for entry in run.requests()), "the 429")
        refused = next(entry.real for entry in run.requests() if entry.status == 429)
        await finds(run)
        after = [entry.real for entry in run.requests() if entry.real > refused and not entry.path.startswith("/__")]
    assert after[0] - refused >= 1.0
    assert world.budgets_recorded == 1, "a successor must know of the wait at once"


@pytest.mark.usefixtures("quick")
async def test_a_used_up_limit_on_an_unusable_answer_stops_every_kind_of_request_until_its_reset(world: World) -> None:
    limit = {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "1"}
    async with running(world) as run:
        await begin(run)
        await run.control(path="/r/", status=200, body="", rl=False, headers=limit)
        await until(lambda: not run.simulator.simulator.faults, "the empty body")
        met = time.time()
        await finds(run)
        starts = [entry.real for entry in run.requests() if not entry.path.startswith("/__")]
    # The empty body is the last answer before the pause, and nothing else makes polling pause so long.
    assert max(after - before for before, after in pairwise(starts) if after > met) >= 1.0


@pytest.mark.usefixtures("quick")
async def test_without_a_permit_nothing_is_asked_and_with_a_new_one_polling_goes_on(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.permitted_until = steady() + REQUEST_MARGIN + 0.5
        await until(lambda: not may_start(world.permitted_until, steady()), "the end of the permit")
        # A request that began before the end arrives later.
        await until(lambda: run.poller.budget.in_flight == 0, "the last request with a permit")
        ended = time.time()
        await until(lambda: steady() > world.permitted_until + 1.0, "a second without a permit")
        late = [entry.path for entry in run.requests() if entry.real > ended and not entry.path.startswith("/__")]
        assert late == []
        world.permitted_until = math.inf
        await finds(run)


@pytest.mark.usefixtures("quick")
async def test_a_request_that_is_not_answered_when_the_permit_ends_is_broken_off(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.permitted_until = steady() + REQUEST_MARGIN + 1.0
        await run.control(path="/r/", delay=60)
        await until(lambda: run.poller.budget.in_flight == 1 and not run.simulator.simulator.faults, "a slow answer")
        await until(lambda: run.poller.budget.in_flight == 0, "the request to be broken off", REQUEST_MARGIN + 3.0)
        assert world.permitted_until - 0.1 <= steady() < world.permitted_until + 0.5
        world.permitted_until = math.inf
        await finds(run)


@pytest.mark.usefixtures("quick")
async def test_two_5xx_in_a_row_open_the_breaker_and_what_came_meanwhile_is_found(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/", status=503, count=2)
        await until(lambda: sum(entry.status == 503 for entry in run.requests()) == 2, "the second 503")
        failed = [entry.real for entry in run.requests() if entry.status == 503][-1]
        added = await run.add("funny", 40)
        await until(lambda: set(world.ids("new")).issuperset(added), "what came while the breaker was open")
        after = [entry.real for entry in run.requests() if entry.real > failed and not entry.path.startswith("/__")]
    assert after[0] - failed >= BREAKER_SECONDS * 0.9
    assert not world.opened


MEMBER_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"status": 500}, "status_500"),
    "503": ({"status": 503}, "status_503"),
    "522": ({"status": 522}, "status_522"),
    "a redirect to some other place": ({"status": 302}, "status_302"),
    "a moved page": ({"status": 301, "headers": {"Location": "/r/elsewhere"}}, "status_301"),
    "a page of the network's edge": ({"status": 403, "html": True}, "status_403"),
    "a 404 of some other web server": ({"status": 404, "html": True}, "status_404"),
    "an empty body": ({"body": ""}, "unusable_answer"),
    "HTML with 200": ({"html": True}, "unusable_answer"),
    "truncated JSON": ({"truncate": True}, "unusable_answer"),
    "a body that is no listing": ({"body": "[]"}, "unusable_answer"),
    "a connection reset": ({"drop": True}, "no_answer"),
    "a timeout": ({"delay": 2.0, "drop": True}, "no_answer"),
}


@pytest.mark.parametrize("fault", list(MEMBER_FAULTS))
@pytest.mark.usefixtures("quick")
async def test_one_subreddit_that_breaks_every_listing_is_set_aside_and_the_rest_goes_on(
    world: World, fault: str
) -> None:
    details, state = MEMBER_FAULTS[fault]
    async with running(world, timeout=0.3) as run:
        await begin(run)
        await run.control(path="/r/", member="funny", count=-1, **details)
        for name in ("python", "askscience"):
            await finds(run, name)
        await until(lambda: run.poller.planner.watchlist.excluded == {"funny"}, "the one that breaks the listings")
        for name in ("python", "askscience"):
            await finds(run, name)
        await until(lambda: world.states.get("funny") == state, f"the report of {world.states}")
        added = await run.add("funny", 3)
        await run.control(clear=True)
        await until(lambda: set(world.ids("new")).issuperset(added), "what came meanwhile")
        await until(lambda: world.states.get("funny") == "ok", "the report that it is readable again")


@pytest.mark.parametrize("fault", list(MEMBER_FAULTS))
@pytest.mark.usefixtures("quick")
async def test_one_post_that_breaks_every_batch_is_set_aside_and_the_others_are_refreshed(
    world: World, fault: str
) -> None:
    details, _ = MEMBER_FAULTS[fault]
    async with running(world, timeout=0.3) as run:
        await begin(run)
        added = await run.add("python", 8)
        await until(lambda: set(world.ids("new")).issuperset(added), "the posts")
        await run.control(path="/api/info", member=f"t3_{added[0]}", count=-1, **details)
        await until(lambda: run.poller.planner.posts_set_aside == {added[0]}, "the post that breaks the batches")
        await finds(run)
        looked = len(run.requests("/api/info"))

        def refreshed() -> set[str]:
            good = [entry.path for entry in list(run.requests("/api/info"))[looked:] if entry.status == 200]
            return {id_ for id_ in added[1:] if any(f"t3_{id_}" in path for path in good)}

        await until(lambda: refreshed() == set(added[1:]), "the others to be refreshed")
        await run.control(clear=True)
        await until(lambda: not run.poller.planner.posts_set_aside, "the post to be answered again")


@pytest.mark.usefixtures("quick")
async def test_posts_that_vanish_with_a_ban_are_told_as_no_longer_shown_and_published_when_they_come_back(
    world: World,
) -> None:
    async with running(world) as run:
        await begin(run)
        gone, others = await run.add("funny", 3), await run.add("python", 3)
        await until(lambda: set(world.ids("new")).issuperset(gone + others), "the posts")
        world.is_database_away = True
        banned_at = utcnow()
        await run.control(access={"funny": "banned"})
        await until(lambda: run.poller.planner.not_shown.keys() >= set(gone), "the posts to be missed")
        assert not world.not_shown
        world.is_database_away = False
        await until(lambda: world.not_shown.keys() >= set(gone), "the table to be told once it can be")
        assert not world.not_shown.keys() & set(others)
        assert all(banned_at - timedelta(seconds=1) <= world.not_shown[id_] <= utcnow() for id_ in gone)
        published = len(world.published)
        await run.control(access={"funny": "public"})
        await until(lambda: not run.poller.planner.not_shown, "the posts to be shown again")
        again = {envelope.payload.id: envelope for envelope in world.published[published:]}
        assert all(again[id_].metadata.observed_at > world.not_shown[id_] for id_ in gone)


@pytest.mark.parametrize("access", ["private", "banned", "quarantined", "gated"])
@pytest.mark.usefixtures("quick")
async def test_one_bad_subreddit_is_set_aside_and_the_rest_goes_on(world: World, access: str) -> None:
    async with running(world) as run:
        await begin(run)
        await run.add("funny", 1)
        await until(lambda: world.states.get("funny") == "ok", "a post that shows it is readable")
        await run.control(bad_member="error")
        await run.control(access={"funny": access})
        await until(lambda: run.poller.planner.watchlist.excluded == {"funny"}, "the refused subreddit to be found")
        await finds(run, "python")
        await finds(run, "askscience")
        await until(lambda: world.states.get("funny") == access, "the report")


@pytest.mark.usefixtures("quick")
async def test_an_unknown_subreddit_alone_is_set_aside(world: World) -> None:
    world.configured.append(Subreddit("no_such_place", 60, "slow"))
    async with running(world) as run:
        await until(
            lambda: run.poller.planner.watchlist.excluded == {"no_such_place"}, "the refused subreddit to be found"
        )
        await finds(run)


@pytest.mark.usefixtures("quick")
async def test_a_changed_configuration_takes_effect_and_an_unreadable_one_changes_nothing(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.configured = [*world.configured, Subreddit("movies", 60, "fast")]
        await finds(run, "movies")
        world.configured = [subreddit for subreddit in world.configured if subreddit.name != "funny"]
        await until(lambda: "funny" not in run.poller.planner.watchlist, "the removal")
        reports, world.is_database_away = world.reports, True
        await finds(run, "movies")
        assert world.reports == reports
        world.is_database_away = False
        await until(lambda: world.reports > reports, "the table to be readable again")


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.usefixtures("quick")
async def test_a_wrong_local_clock_does_not_date_observations(world: World, hours: int) -> None:
    async with running(world, clock=lambda: utcnow() + timedelta(hours=hours)) as run:
        await begin(run)
        await finds(run)
    for envelope in world.published:
        assert abs((envelope.metadata.observed_at - datetime.now(UTC)).total_seconds()) < 120


EVERYTHING: dict[str, tuple[dict[str, Any], str]] = {
    "a page 403": ({"status": 403, "html": True}, "status_403"),
    "a 503": ({"status": 503}, "status_503"),
    "a reset": ({"drop": True}, "no_answer"),
    "no content": ({"body": ""}, "unusable_answer"),
}


@pytest.mark.parametrize("fault", list(EVERYTHING))
@pytest.mark.usefixtures("quick")
async def test_a_page_403_for_everything_is_told_with_its_beginning_and_ends_with_the_first_answer(
    world: World, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signalflow.domain.standstill.SECONDS", 1.0)
    details, reason = EVERYTHING[fault]

    def since() -> float | None:
        return REGISTRY.get_sample_value("signalflow_reddit_unanswered_since_seconds", {"reason": reason})

    async with running(world) as run:
        await begin(run)
        assert since() is None
        began = time.time()
        for path in ("/r/", "/api/info"):
            await run.control(path=path, count=-1, **details)
        await until(lambda: since() is not None, "the standstill to be told")
        assert began <= (since() or 0.0) <= began + 2.0
        assert run.poller.planner.watchlist.excluded == frozenset(), "no subreddit is the reason"
        await run.control(clear=True)
        await finds(run)
        assert since() is None


ODD_VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a ratio above 1": ({"upvote_ratio": 1.01}, {"upvote_ratio": None}),
    "edited null": ({"edited": None}, {"edited_at": None}),
    "a score with a point": ({"score": 3.0}, {"score": 3}),
    "all of them": (
        {"upvote_ratio": -1, "edited": "", "score": -2.0, "num_comments": 3.0},
        {"upvote_ratio": None, "edited_at": None, "score": -2, "num_comments": 3},
    ),
}


@pytest.mark.parametrize("odd", list(ODD_VALUES))
@pytest.mark.usefixtures("quick")
async def test_a_post_with_an_odd_value_is_published(world: World, odd: str) -> None:
    patch, expected = ODD_VALUES[odd]
    async with running(world) as run:
        await begin(run)
        await run.control(path="/", patch=patch, count=-1)
        (added,) = await run.add("python")
        await until(lambda: added in world.ids("new"), "the post")
    post = next(envelope.payload for envelope in world.published if envelope.payload.id == added)
    assert {name: getattr(post, name) for name in expected} == expected


def rejected(reason: str) -> float:
    return REGISTRY.get_sample_value("signalflow_reddit_items_rejected_total", {"reason": reason}) or 0.0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("field", "value"), [("title", None), ("num_comments", -1), ("score", 3.5)])
async def test_a_post_without_a_required_value_is_rejected_and_counts_once(
    world: World, field: str, value: object
) -> None:
    bad = {"kind": "t3", "data": stranger() | {field: value}}
    async with running(world) as run:
        await begin(run)
        before, polls = rejected(field), len(run.requests("/r/"))
        await run.control(path="/r/", insert=[bad], count=-1)
        await until(lambda: len(run.requests("/r/")) >= polls + 5, "some polls")
        await finds(run)
    assert "zzzz" not in world.ids("new")
    assert rejected(field) - before == 1


STRANGERS: dict[str, dict[str, Any]] = {
    "promoted": {"subreddit": "python", "promoted": True},
    "not_asked": {"subreddit": "u_seller"},
    "kind": {"subreddit": "python", "kind": "t1"},
}


@pytest.mark.parametrize("reason", list(STRANGERS))
@pytest.mark.usefixtures("quick")
async def test_what_nobody_asked_for_is_left_out_and_counts_once(world: World, reason: str) -> None:
    data = stranger() | STRANGERS[reason]
    item = {"kind": data.pop("kind", "t3"), "data": data}
    async with running(world) as run:
        await begin(run)
        before, polls = rejected(reason), len(run.requests("/r/"))
        await run.control(path="/", insert=[item], count=-1)
        await until(lambda: len(run.requests("/r/")) >= polls + 5, "some polls")
        await finds(run)
        await finds(run, "askscience")
    assert "zzzz" not in {envelope.payload.id for envelope in world.published}
    assert rejected(reason) - before == 1
    assert not world.opened, "what was not asked for opens no gap"


def stranger() -> dict[str, Any]:
    """A valid post that nobody has made."""
    return {
        "id": "zzzz", "name": "t3_zzzz", "subreddit": "funny", "author": "a", "title": "t", "score": 1, "ups": 1,
        "num_comments": 0, "created_utc": math.floor(time.time()) - 5.0, "edited": False, "over_18": False,
        "is_self": True, "selftext": "", "url": "https://example.org/", "permalink": "/r/funny/comments/zzzz/t/",
        "upvote_ratio": 1.0, "link_flair_text": None, "removed_by_category": None, "downs": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("quick")
async def test_a_post_from_the_future_is_not_published(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        wrong = stranger() | {"created_utc": math.floor(time.time()) + 3600.0}
        listing = {
            "kind": "Listing",
            "data": {"after": None, "before": None, "dist": 1, "children": [{"kind": "t3", "data": wrong}]},
        }
        await run.control(path="/r/", body=httpx.Response(200, json=listing).text, ct="application/json")
        await until(lambda: not run.simulator.simulator.faults, "the wrong answer")
        await finds(run)
    assert "zzzz" not in world.ids("new")
