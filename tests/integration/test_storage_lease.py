"""The lease on polling in a real database: one holder, whatever becomes of processes, connections and clocks."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from signalflow.domain.budget import AddressBlock, Handover
from signalflow.domain.lease import LEASE_SECONDS
from signalflow.errors import Retryable
from signalflow.local.ports import free_ports
from signalflow.storage import lease
from signalflow.storage.lease import PollingLease
from tests.integration.polling_lease import pass_time
from tests.integration.storage_rows import settings_of

NOTHING = Handover()
BACKEND = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE application_name = 'signalflow polling lease' AND datname = current_database()"
)


@pytest.fixture
async def leases(database_url: str) -> AsyncIterator[Callable[[str], PollingLease]]:
    """Makes the leases of processes, each with its holder's name."""
    made: list[PollingLease] = []

    def make(holder: str) -> PollingLease:
        made.append(PollingLease(settings_of(database_url), holder))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_one_process_holds_the_lease_until_it_ends(
    leases: Callable[[str], PollingLease], database_url: str
) -> None:
    first, second = leases("first"), leases("second")
    assert (await first.renew(NOTHING))[0] == "taken_over"
    assert (await first.renew(NOTHING))[0] == "kept"
    assert (await second.renew(NOTHING))[0] == "refused"
    await pass_time(database_url, LEASE_SECONDS - 1)
    assert (await second.renew(NOTHING))[0] == "refused"
    await pass_time(database_url, 1)
    assert (await second.renew(NOTHING))[0] == "taken_over"
    assert (await first.renew(NOTHING))[0] == "refused"


async def test_a_lease_that_ended_is_still_kept_when_nobody_took_it(
    leases: Callable[[str], PollingLease], database_url: str
) -> None:
    first = leases("first")
    await first.renew(NOTHING)
    await pass_time(database_url, 3600)
    assert (await first.renew(NOTHING))[0] == "kept"


async def test_a_released_lease_is_free_at_once_and_only_its_holder_releases_it(
    leases: Callable[[str], PollingLease],
) -> None:
    first, second = leases("first"), leases("second")
    await first.renew(NOTHING)
    await second.release(NOTHING)
    assert (await second.renew(NOTHING))[0] == "refused"
    await first.release(Handover(last_start_ago=0.5))
    claim, stands = await second.renew(NOTHING)
    assert claim == "taken_over"
    assert 0.5 <= stands.last_start_ago < 1.5


async def test_a_successor_learns_how_the_budget_stands(
    leases: Callable[[str], PollingLease], database_url: str
) -> None:
    first, second = leases("first"), leases("second")
    await first.renew(NOTHING)
    await first.renew(Handover(600.0, 0.2, 312.0, 400.0, 3))
    await pass_time(database_url, 100)
    claim, stands = await second.renew(NOTHING)
    assert claim == "taken_over"
    assert stands.blocked_for == pytest.approx(500, abs=2)
    assert (stands.window_remaining, stands.limits_in_a_row) == (312.0, 3)
    assert stands.window_ends_in == pytest.approx(300, abs=2)
    assert stands.last_start_ago == 0.0, "the first did not release: it may have asked until now"
    third = leases("third")
    await pass_time(database_url, LEASE_SECONDS)
    assert (await third.renew(NOTHING))[1].blocked_for == pytest.approx(485, abs=3)


async def test_a_successor_learns_that_reddit_blocks_the_address_until_a_poller_had_an_answer(
    leases: Callable[[str], PollingLease], database_url: str
) -> None:
    first, second, third = leases("first"), leases("second"), leases("third")
    await first.renew(NOTHING)
    await first.renew(Handover(blocked_for=480.0, address_block=AddressBlock("page", 840.0, 3)))
    await pass_time(database_url, 100)
    stands = (await second.renew(NOTHING))[1]
    assert stands.blocked_for == pytest.approx(380, abs=2)
    assert stands.address_block == AddressBlock("page", pytest.approx(940, abs=2), 3)
    await second.renew(stands)
    await second.release(stands)
    assert (await third.renew(NOTHING))[1].address_block == AddressBlock("page", pytest.approx(940, abs=2), 3)
    await third.release(NOTHING)
    assert (await first.renew(NOTHING))[1].address_block is None


async def test_a_process_whose_first_answer_was_lost_does_not_forget_a_wait_that_reddit_named(
    leases: Callable[[str], PollingLease], database_url: str
) -> None:
    before = leases("before")
    await before.renew(NOTHING)
    await before.release(Handover(blocked_for=600.0))
    # The lease was taken and committed; the process that took it never heard of that.
    await leases("first").renew(NOTHING)
    claim, stands = await leases("first").renew(NOTHING)
    assert claim == "taken_over"
    assert stands.blocked_for == pytest.approx(600, abs=2)


async def test_a_database_whose_clock_was_set_back_does_not_keep_everybody_out(
    leases: Callable[[str], PollingLease], database_url: str
) -> None:
    first, second = leases("first"), leases("second")
    await first.renew(NOTHING)
    await pass_time(database_url, -3600)
    assert (await second.renew(NOTHING))[0] == "taken_over"


async def test_a_row_that_was_deleted_is_made_again(leases: Callable[[str], PollingLease], database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM polling_lease")
    await connection.close()
    first, second = leases("first"), leases("second")
    assert (await first.renew(NOTHING))[0] == "taken_over"
    assert (await second.renew(NOTHING))[0] == "refused"


async def test_of_many_that_ask_at_once_one_gets_the_lease(leases: Callable[[str], PollingLease]) -> None:
    answers = await asyncio.gather(*(leases(f"worker {n}").renew(NOTHING) for n in range(8)))
    assert sorted(claim for claim, _ in answers) == ["refused"] * 7 + ["taken_over"]


async def test_the_lease_needs_no_session(leases: Callable[[str], PollingLease], database_url: str) -> None:
    """As behind PgBouncer in transaction mode, where every transaction may get another connection, or a used one."""
    first, second = leases("first"), leases("second")
    other = await asyncpg.connect(database_url)
    await first.renew(NOTHING)
    for _ in range(3):
        await other.execute(f"SELECT pg_terminate_backend(pid) FROM ({BACKEND}) AS backends")
        await asyncio.gather(first.close(), second.close())
        assert (await first.renew(NOTHING))[0] == "kept"
        assert (await second.renew(NOTHING))[0] == "refused"
        assert await other.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await other.close()


async def test_a_server_that_hangs_is_an_error_in_time(
    leases: Callable[[str], PollingLease], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "ANSWER_SECONDS", 0.5)
    first = leases("first")
    await first.renew(NOTHING)
    other = await asyncpg.connect(database_url)
    backend = await other.fetchval(BACKEND)
    await other.close()
    os.kill(backend, signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(Retryable):
                await first.renew(NOTHING)
    finally:
        os.kill(backend, signal.SIGCONT)


async def test_a_database_that_is_away_is_not_taken_for_another_holder() -> None:
    with pytest.raises(Retryable):
        await PollingLease(settings_of(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none"), "first").renew(
            NOTHING
        )
