"""The dlq agent stores every record of its topic, and no record stops it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from agents.dlq import DlqHandler
from signalflow.dead_letters import storing
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.dead_letters.letter import letter_of, record_of
from signalflow.dead_letters.storing import origin_of
from signalflow.errors import Invalid, Retryable
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings
from signalflow.storage.dead_letters import NewLetter
from signalflow.streams.batch_loop import Batch, Ownership
from tests.unit.streams.fakes import FakeApp, FakeEvent, FakeMessage, Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = UUID(int=5)
OWNED = Ownership(FakeApp(), 1)


def batch(*records: Record) -> Batch:
    return Batch([FakeEvent(FakeMessage(list(records)))])


def on_topic(offset: int, of: Record) -> Record:
    letter = record_of(letter_of(of, Invalid("bad"), stage="write", worker="w", now=NOW))
    return Record(offset, topic="dlq", key=letter.key, value=letter.value, headers=tuple(letter.headers))


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("signalflow_dead_letters_stored_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def handler() -> DlqHandler:
    dead_letters = DeadLetters(Settings(), None, "w1", topic_id_of=lambda *_: UUID(int=9))  # type: ignore[arg-type]
    return DlqHandler(None, dead_letters, None, None, 10.0)  # type: ignore[arg-type]


async def test_a_record_that_is_no_dead_letter_is_kept_as_it_is_and_never_replayed(handler: DlqHandler) -> None:
    good = on_topic(0, Record(4, headers=(("dlq_of", f"12:{TOKEN}".encode()),)))
    stray = Record(1, topic="dlq", partition=0, key=None, value=b"\x00what", headers=(("dlq_topic", b"raw"),))
    (_, first), (_, second) = await handler.prepare(batch(good, stray))
    assert (first.letter.topic, first.letter.offset, first.previous, first.whole) == ("raw", 4, (12, TOKEN), True)
    assert (second.letter.topic, second.letter.offset, second.letter.topic_id) == ("dlq", 1, UUID(int=9))
    assert (second.letter.value, second.letter.error_type, second.whole) == (b"\x00what", "MalformedDeadLetter", False)


async def test_a_letter_that_the_database_refuses_does_not_keep_others_from_being_stored(
    handler: DlqHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []
    before = {outcome: counted(outcome) for outcome in ("new", "known", "refused")}

    async def store(pool: Any, letters: list[NewLetter], advances: Any) -> int:
        if any(new.letter.offset == 2 for new in letters):
            raise Invalid("refused")
        stored.extend(new.letter.offset for new in letters)
        return len(letters)

    monkeypatch.setattr(storing, "store_letters", store)
    await handler.commit(await handler.prepare(batch(*(on_topic(n, Record(n)) for n in range(5)))), OWNED)
    assert stored == [0, 1, 3, 4]
    assert counted("new") - before["new"] == 4
    assert counted("known") - before["known"] == 0
    assert counted("refused") - before["refused"] == 1


async def test_a_commit_raises_retryable_while_the_database_is_away(
    handler: DlqHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(pool: Any, letters: list[NewLetter], advances: Any) -> int:
        raise Retryable("database away")

    monkeypatch.setattr(storing, "store_letters", away)
    with pytest.raises(Retryable):
        await handler.commit(await handler.prepare(batch(on_topic(0, Record(0)))), OWNED)


@pytest.mark.parametrize(
    "value",
    [b"", b"12", b"x:y", b"12:zz", b"-1:" + str(TOKEN).encode(), b"9" * 19 + b":" + str(TOKEN).encode(), b"\xff"],
)
def test_a_malformed_link_to_a_dead_letter_is_ignored(value: bytes) -> None:
    assert origin_of([("dlq_of", value)]) is None
