"""The harness itself: plans, the proxy, and faults that run alone."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from signalflow.kafka.producer import partition_for
from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from tests.chaos import report, schedule, waiting
from tests.chaos.alerts import Alerts, compared
from tests.chaos.cluster import FOLLOWED
from tests.chaos.comments import always_shown, unexplained
from tests.chaos.faults import ALL
from tests.chaos.faults.base import Gate
from tests.chaos.faults.fail_points import _dead
from tests.chaos.poison import Poison
from tests.chaos.poison_verdict import Found, PoisonVerdict, judge_comments
from tests.chaos.proxy import Proxy
from tests.chaos.recovery import Probes, Seen
from tests.chaos.report import Summary
from tests.chaos.verdict import outlived, unnoticed
from tests.chaos.verify_runs import Result
from tests.integration.workers import WorkerProcess
from tests.waiting import until

# The least number of injections of each kind over three seeds that the project requires.
LEAST = {
    "SIGTERM a worker": 20,
    "start a fourth worker and stop it": 20,
    "SIGSTOP beyond the session timeout": 20,
    "SIGKILL the leader while it publishes": 10,
    "one broker, then another": 10,
    "all three brokers": 10,
    "PostgreSQL stops at once": 10,
    "all backends terminated": 10,
    "a deadlock": 10,
    "a statement timeout": 10,
    "a full disk": 10,
    "wall clock of a worker wrong by an hour": 10,
    "the database goes back to a copy": 6,
    "a standby is promoted": 6,
    "a power cut of the database": 6,
    "a broker goes back to a copy": 6,
    "a power cut of all brokers": 6,
    "partitions added": 6,
    "the raw topic is made anew": 6,
    "the enriched topic is made anew": 6,
    "damaged batches on the brokers' disks": 6,
}
LEAST_BY_FAMILY = {"killed at ": 5, "Reddit: ": 10}
LINKS = ("worker - database", "workers - broker", "poller - Reddit")


def test_three_seeds_of_full_length_inject_every_fault_often_enough() -> None:
    counts = {fault.kind: 3 * fault.share for fault in ALL}
    wanted = LEAST | {
        kind: least for kind in counts for family, least in LEAST_BY_FAMILY.items() if kind.startswith(family)
    }
    assert {kind: counts.get(kind, 0) for kind, least in wanted.items() if counts.get(kind, 0) < least} == {}
    for link in LINKS:
        assert sum(count for kind, count in counts.items() if kind.startswith(link)) >= 10
    # Whenever a worker is paused, another one is killed.
    assert counts["SIGKILL a worker"] + counts["SIGSTOP beyond the session timeout"] >= 20
    assert 3 * schedule.MUTATED >= 10_000


def test_equal_seeds_give_equal_plans_and_other_seeds_other_plans() -> None:
    assert schedule.plan(7, 12) == schedule.plan(7, 12)
    assert schedule.plan(7, 12) != schedule.plan(8, 12)


def test_the_short_form_has_every_fault_at_most_once() -> None:
    kinds = [planned.fault.kind for lane in schedule.plan(7, 1.6, short=True).values() for planned in lane]
    assert len(kinds) == len(set(kinds)) == sum(fault.in_short_form for fault in ALL)


def test_recovery_is_when_a_record_sent_after_the_fault_is_first_seen() -> None:
    seen = Seen()
    for at, sent_until in ((10.0, 9.5), (11.0, 9.5), (14.0, 12.0), (15.0, 14.5)):
        seen.add(at, sent_until)
    assert seen.recovered_at(9.0) == 10.0
    assert seen.recovered_at(10.2) == 14.0
    assert seen.recovered_at(14.8) is None


async def test_a_fault_that_must_be_alone_waits_for_others_and_new_ones_wait_for_it() -> None:
    gate, order = Gate(), list[str]()
    release = asyncio.Event()

    async def together(name: str) -> None:
        async with gate.together():
            order.append(name)
            await release.wait()

    async def alone() -> None:
        async with gate.alone():
            order.append("alone")

    first = asyncio.create_task(together("first"))
    await until(lambda: order == ["first"])
    lonely = asyncio.create_task(alone())
    await until(lambda: gate._is_alone)
    second = asyncio.create_task(together("second"))
    release.set()
    await asyncio.gather(first, lonely, second)
    assert order == ["first", "alone", "second"]


async def test_a_fail_point_sends_no_poison_while_another_fault_forbids_it() -> None:
    sent: list[Any] = []
    run: Any = SimpleNamespace(poisons=[], poisoning=asyncio.Lock(), load=SimpleNamespace(extra=[]), poison=sent.extend)
    worker: Any = SimpleNamespace(poll=lambda: None)
    async with run.poisoning:
        assert not _dead(worker, "dlq.after_ack:1", run)
        assert sent == []
    assert not _dead(worker, "dlq.after_ack:1", run)
    assert len(sent) == 2


def test_a_log_that_began_anew_must_be_noticed_before_it_does_so_again() -> None:
    assert unnoticed([], []) == []
    assert unnoticed([100.0, 200.0], [102.0, 203.0]) == []
    assert unnoticed([100.0, 200.0], [204.0]) == [100.0]
    assert unnoticed([100.0, 200.0], [105.0]) == [200.0]


def test_a_cut_of_a_log_that_is_made_anew_soon_afterwards_need_not_be_noticed() -> None:
    assert outlived([100.0, 200.0, 300.0], [130.0, 290.0]) == [200.0, 300.0]


def shown_comment(created: float, *, deleted_at: float | None = None, post: str = "p") -> dict[str, Any]:
    return {"id": f"c{created}", "post_id": post, "subreddit": "Anime", "created": created, "deleted_at": deleted_at}


def test_a_comment_that_was_not_always_shown_need_not_be_stored() -> None:
    visible: dict[str, Any] = {"p": [[10.0, 20.0], [50.0, None]], "gone": [[10.0, 30.0]]}
    comments = [shown_comment(60), shown_comment(15), shown_comment(70, deleted_at=80), shown_comment(15, post="gone")]
    assert always_shown(comments, visible) == [shown_comment(60)]


def test_a_missing_comment_is_explained_by_a_gap_of_its_subreddit_or_by_a_later_cut_of_the_log() -> None:
    missing = [shown_comment(60), shown_comment(40), shown_comment(20)]
    assert unexplained(missing, [], []) == missing
    assert unexplained(missing, [({"anime"}, 50.0), ({"science"}, 0.0)], []) == missing[1:]
    assert unexplained(missing, [], [30.0]) == missing[:2]


def test_an_alert_must_be_met_once_done_and_have_arrived() -> None:
    told = [("a", "id_a", "done"), ("b", "id_b", "done"), ("c", "id_c", "waiting"), ("d", "id_d", "done")]
    found = compared({"a", "b", "c", "e"}, [*told, ("a", "id_a2", "done")], {"id_a", "id_a2", "id_d"})
    assert found.lost == ["e met no rule", "c is waiting", "b is done and did not arrive"]
    assert found.extra == ["d met the rule without cause", "a met the rule twice"]
    assert compared({"a"}, told[:1], {"id_a"}) == Alerts(1)


@pytest.mark.parametrize(
    ("expected", "is_stored", "letters", "lost_doubled_wrong"),
    [
        ("stored", True, 0, (0, 0, 0)),
        ("stored", False, 0, (1, 0, 0)),
        ("stored", False, 1, (0, 0, 1)),
        ("stored", True, 1, (0, 0, 1)),
        ("dead", False, 1, (0, 0, 0)),
        ("dead", False, 0, (1, 0, 0)),
        ("dead", False, 2, (0, 1, 0)),
        ("dead", True, 0, (0, 0, 1)),
        ("nowhere", False, 0, (0, 0, 1)),
    ],
)
def test_a_poisoned_comment_must_be_stored_or_a_dead_letter(
    expected: Any, is_stored: bool, letters: int, lost_doubled_wrong: tuple[int, int, int]
) -> None:
    sent = Poison(7, "comments", b"z7", b"{}", expected, "comments_raw")
    record = SimpleNamespace(topic="comments", partition=0, offset=3, headers=sent.headers)
    found = Found([], [], [], Counter({("comments", 0, 3): letters}), [record], [], {"z7"} if is_stored else set())
    verdict = PoisonVerdict()
    assert judge_comments({"comments:7": sent}, {"comments": verdict}, found) == {"comments:7"}
    assert (verdict.lost, verdict.duplicated, verdict.wrong) == lost_doubled_wrong
    assert (verdict.sent, bool(verdict.examples)) == (1, any(lost_doubled_wrong))


def test_subreddits_whose_comments_are_followed_are_watched() -> None:
    assert set(FOLLOWED) <= {each.name for each in read_subreddits()}


def test_a_run_without_time_for_some_kinds_names_them_in_its_last_line() -> None:
    late = ["all three brokers", "a deadlock", "all three brokers"]
    ended = Summary(7, 1.0, 9, 9, 0, 0, 0, 0, 0, [], {}, [], [], late, [])
    last = report.text(ended).splitlines()[-1]
    assert last == "not a complete run, there was no time for: all three brokers, a deadlock"
    assert ended.as_dict()["no_time_for"] == late
    assert (ended.nothing_wrong, ended.goals_met) == (True, True)
    assert "not a complete run" not in report.text(replace(ended, no_time_for=[]))


def test_probes_go_through_partitions_that_were_added() -> None:
    probes, now = Probes(3), datetime.now(UTC)
    probes.spread(5)
    assert {partition_for(probe.payload.id.encode(), 5) for probe in probes.take(now)} == set(range(5))


@asynccontextmanager
async def echo_behind_a_proxy() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server that sends all data back, and a connection to it through a proxy."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    outer, inner = free_ports(2)
    server = await asyncio.start_server(echo, LOOPBACK, inner)
    proxy = Proxy(outer, inner)
    await proxy.start()
    reader, writer = await asyncio.open_connection(LOOPBACK, outer)
    try:
        yield proxy, reader, writer
    finally:
        writer.close()
        await proxy.close()
        server.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float = 5.0) -> bytes:
    """Send a byte, and return the answer."""
    writer.write(b"x")
    async with asyncio.timeout(seconds):
        return await reader.read(1)


async def test_a_proxy_passes_everything_on_and_a_slow_one_does_so_late() -> None:
    async with echo_behind_a_proxy() as (proxy, reader, writer):
        assert await answer(reader, writer) == b"x"
        proxy.slow(0.1)
        began = asyncio.get_running_loop().time()
        assert await answer(reader, writer) == b"x"
        assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_silent_proxy_holds_data_back_until_it_is_healed() -> None:
    async with echo_behind_a_proxy() as (proxy, reader, writer):
        proxy.stall()
        with pytest.raises(TimeoutError):
            await answer(reader, writer, 0.2)
        proxy.heal()
        async with asyncio.timeout(5):
            assert await reader.read(1) == b"x"


async def test_a_cut_proxy_resets_old_and_new_connections() -> None:
    async with echo_behind_a_proxy() as (proxy, reader, writer):
        assert await answer(reader, writer) == b"x"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        new_reader, _ = await asyncio.open_connection(LOOPBACK, proxy.port)
        with pytest.raises(ConnectionResetError):
            await new_reader.read(1)


async def test_a_half_open_connection_stays_silent_for_good_and_new_ones_work() -> None:
    async with echo_behind_a_proxy() as (proxy, reader, writer):
        assert await answer(reader, writer) == b"x"
        proxy.half_open()
        proxy.heal()
        with pytest.raises(TimeoutError):
            await answer(reader, writer, 0.3)
        assert await answer(*await asyncio.open_connection(LOOPBACK, proxy.port)) == b"x"


def test_a_worker_that_starts_again_leaves_a_port_that_is_taken_meanwhile(tmp_path: Path) -> None:
    worker = WorkerProcess(Settings(), "w1", tmp_path)
    worker.start()
    worker.kill()
    before = urlsplit(worker.url).port
    with socket.create_server((LOOPBACK, before or 0)):
        worker.start()
        worker.kill()
        assert urlsplit(worker.url).port != before


@pytest.mark.parametrize(("seen", "empty"), [([3, 3, 2, 2, 1, 0], True), ([2, 1, 2, 1], False)])
async def test_what_still_comes_is_waited_for_and_what_comes_no_more_is_not(
    seen: list[int], empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds pass only between answers, one each; three without a new minimum are too many."""
    now, left = 0.0, iter([*seen, *[seen[-1]] * 10])

    async def answer() -> int:
        nonlocal now
        now += 1.0
        return next(left)

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now))
    assert await waiting.runs_out(answer, seconds=3.0, pause=0.0) == empty
    assert now == (len(seen) if empty else 5)


def test_of_runs_of_verify_those_that_tell_a_difference_are_alarms_and_those_that_cannot_tell_are_not() -> None:
    result = Result(31)
    result.take("all", 0, "20 records read, 17 of them due in the tables\nnothing is missing or wrong")
    result.take("--json", 0, json.dumps({"clean": True, "records": 20, "records_due": 18}))
    result.take("all", 1, "missing: a")
    result.take("all", 2, "Usage: ...")
    result.take("--json", 3, "error: Kafka does not answer")
    assert json.loads(result.as_json()) == {
        "seed": 31,
        "runs": {"all": 3, "--json": 1},
        "due": {"all": 17, "--json": 18},
        "not_checked": {"--json": 1},
        "alarms": ["all, status 1: missing: a", "all, status 2: Usage: ..."],
        "kills": 0,
        "servers": {},
        "records": 0,
        "really_wrong": [],
    }
