"""Who is behind a session is asked of the database rarely, and never kept from before it ended."""

import asyncio
from uuid import UUID

import pytest

from signalflow.errors import Retryable
from signalflow.storage.sessions import SessionIdentity
from tests.waiting import until
from web.auth import identities
from web.auth.identities import Identities

SESSION = UUID(int=1)
ADA = SessionIdentity("ada", "reader")


class Database:
    """Answers when told."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: SessionIdentity | Retryable = ADA
        self.go_on = asyncio.Event()

    async def identity_of_session(self, *_: object) -> SessionIdentity:
        self.asked += 1
        answer = self.answer
        await self.go_on.wait()
        if isinstance(answer, Retryable):
            raise answer
        return answer


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr(identities, "identity_of_session", made.identity_of_session)
    return made


@pytest.fixture
def known(database: Database) -> Identities:
    return Identities(None, monotonic=lambda: 0.0)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_a_thousand_requests_share_one_lookup_and_a_cancelled_one_cancels_no_other(
    database: Database, known: Identities
) -> None:
    leaving, *others = [asyncio.create_task(known.of_session(SESSION)) for _ in range(1000)]
    await until(lambda: database.asked == 1)
    leaving.cancel()
    await until(leaving.done)
    database.go_on.set()
    assert await asyncio.gather(*others) == [ADA] * 999
    assert database.asked == 1


async def test_a_session_that_ended_while_it_was_looked_up_is_looked_up_again(
    database: Database, known: Identities
) -> None:
    early = asyncio.create_task(known.of_session(SESSION))
    await until(lambda: database.asked == 1)
    known.forget_session(SESSION)
    late = asyncio.create_task(known.of_session(SESSION))
    await until(lambda: database.asked == 2)
    known.forget_session(SESSION)
    database.go_on.set()
    await asyncio.gather(early, late)
    await known.of_session(SESSION)
    assert database.asked == 3


async def test_every_waiting_request_learns_that_the_database_is_away(database: Database, known: Identities) -> None:
    database.answer = Retryable("away")
    database.go_on.set()
    answers = await asyncio.gather(*(known.of_session(SESSION) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Retryable] * 3
    assert database.asked == 1
