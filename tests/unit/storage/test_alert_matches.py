"""What matching costs: one statement where there is no rule, and never the turn of others for long."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from signalflow.storage import alert_matches
from signalflow.storage.alert_matches import AlertMatches
from tests.unit.alerts.test_matching import comment, post

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Database:
    """Answers with one version of no rules, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.version = 7

    async def fetch(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        self.asked.append(statement)
        rule = {"id": None, "name": None, "query": None}
        return [{"version": self.version, "now": NOW} | (rule if statement is alert_matches._RULES else {})]


async def test_without_a_rule_a_flush_pays_one_statement() -> None:
    database, alerts = Database(), AlertMatches()
    for rows in ([post()], [comment()], [post()]):
        await alerts.write(database, rows)  # type: ignore[arg-type]
    assert database.asked == [alert_matches._STATE, alert_matches._RULES, alert_matches._STATE, alert_matches._STATE]
    database.version = 6  # as after a backup was restored
    await alerts.write(database, [post()])  # type: ignore[arg-type]
    assert database.asked[-2:] == [alert_matches._STATE, alert_matches._RULES]


async def test_others_have_their_turn_while_much_is_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count(0.0, alert_matches.TURN_SECONDS / 4)
    monkeypatch.setattr(alert_matches, "steady", lambda: next(seconds))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    items = [item async for item in alert_matches._with_turns(range(100))]
    task.cancel()
    assert items == list(range(100))
    assert 10 <= turns <= 30, "one for each few items"
