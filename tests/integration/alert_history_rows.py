"""Matches and deliveries of rules, as the workers store them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from signalflow.alerts.messages import Alert
from signalflow.events import encode
from tests.integration.storage_rows import NOON

_MATCH = "INSERT INTO alert_matches (id, rule_id, kind, subject, alert, matched_at) VALUES ($1, $2, $3, $4, $5, $6)"
_DELIVERY = """
INSERT INTO alert_deliveries (id, match_id, target_id, state, first_at, next_at, failures, ended_at)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7)
"""
_ATTEMPT = """
INSERT INTO alert_attempts (delivery_id, at, seconds, verdict, status, reason, answer)
VALUES ($1, $2, 0.5, $3, $4, $5, $6)
"""


def at(minutes: float) -> datetime:
    """So many minutes after NOON."""
    return NOON + timedelta(minutes=minutes)


async def add_match(pool: asyncpg.Pool, rule_id: str | UUID, subject: str, minutes: float = 0, **changes: Any) -> UUID:
    """A post that met a rule."""
    id_ = uuid4()
    fields: dict[str, Any] = {
        "id": f"alert_{id_.hex}",
        "rule": "Rockets",
        "kind": "post",
        "subject": subject,
        "subreddit": "space",
        "title": f"Rocket <b>{subject}</b>",
        "sentence": "A new post in r/space meets the rule.",
        "url": f"https://www.reddit.com/r/space/comments/{subject}/",
        "numbers": {"score": 12},
        "created_at": at(minutes - 5),
        "matched_at": at(minutes),
    }
    alert = Alert(**fields | changes)
    await pool.execute(_MATCH, id_, rule_id, alert.kind, subject, encode(alert).decode(), at(minutes))
    return id_


async def add_delivery(
    pool: asyncpg.Pool,
    match_id: UUID,
    target_id: str | UUID,
    state: str = "done",
    minutes: float = 0,
    answers: tuple[tuple[str, int | None, str, str], ...] = (),
) -> UUID:
    """A message to a target. `answers`: of each try the verdict, the status, the reason and the answer."""
    id_ = uuid4()
    ended = None if state == "waiting" else at(minutes + 1)
    await pool.execute(_DELIVERY, id_, match_id, target_id, state, at(minutes), len(answers), ended)
    for number, (verdict, status, reason, answer) in enumerate(answers):
        await pool.execute(_ATTEMPT, id_, at(minutes + number / 60), verdict, status, reason, answer)
    return id_
