"""Alerts for tests: rules and targets as rows, and what became of them."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from signalflow.alerts.signing import SigningSecret
from signalflow.clock import utcnow
from signalflow.storage.pool import Pool


async def make_target(
    pool: Pool, address: str = "http://127.0.0.1:9/hook", shape: str = "json", **columns: Any
) -> UUID:
    """A target; one of JSON has a signing secret of its own."""
    secret = SigningSecret.new().told() if shape == "json" else None
    row = {"id": uuid4(), "name": "a target", "shape": shape, "address": address, "secret": secret} | columns
    await _insert(pool, "alert_targets", row)
    return row["id"]  # type: ignore[no-any-return]


async def make_rule(pool: Pool, query: str, *targets: UUID, name: str = "a rule") -> UUID:
    """A rule with these targets."""
    id_ = uuid4()
    await _insert(pool, "alert_rules", {"id": id_, "name": name, "query": query, "created_by": "someone"})
    for target in targets:
        await _insert(pool, "alert_rule_targets", {"rule_id": id_, "target_id": target})
    await rules_changed(pool)
    return id_


async def rules_changed(pool: Pool) -> None:
    """Let writers read the rules again."""
    await pool.execute("UPDATE alert_rules_version SET version = version + 1")


async def tell(pool: Pool, rule: UUID, kind: str, subject: str, words: str) -> None:
    """A match that is told in these words, and an attempt of its message that waits for the next one."""
    alert = {"title": words, "url": f"https://www.reddit.com/{words.split()[1]}", "sentence": words, "numbers": {}}
    match, delivery = uuid4(), uuid4()
    await _insert(
        pool,
        "alert_matches",
        {"id": match, "rule_id": rule, "kind": kind, "subject": subject, "alert": json.dumps(alert)},
    )
    target = await pool.fetchval("SELECT target_id FROM alert_rule_targets WHERE rule_id = $1", rule)
    # Not before tomorrow, so that no worker sends it.
    row = {"id": delivery, "match_id": match, "target_id": target, "next_at": utcnow() + timedelta(days=1)}
    await _insert(pool, "alert_deliveries", row)
    told = {"delivery_id": delivery, "seconds": 0.1, "verdict": "later", "reason": "", "answer": f"what is {words}?"}
    await _insert(pool, "alert_attempts", told)


async def _insert(pool: Pool, table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await pool.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


async def matches(pool: Pool) -> set[tuple[str, str]]:
    """Kind and subject of what rules met, and that one rule met each of them."""
    rows = await pool.fetch("SELECT kind, subject FROM alert_matches")
    found = {(row["kind"], row["subject"]) for row in rows}
    assert len(found) == len(rows)
    return found


async def told(pool: Pool, subject: str) -> dict[str, Any]:
    """The alert of a subject."""
    return json.loads(await pool.fetchval("SELECT alert FROM alert_matches WHERE subject = $1", subject))  # type: ignore[no-any-return]


async def states(pool: Pool) -> dict[str, str]:
    """The state of the deliveries, by subject."""
    rows = await pool.fetch(
        "SELECT m.subject, d.state FROM alert_deliveries AS d JOIN alert_matches AS m ON m.id = d.match_id"
    )
    return {row["subject"]: row["state"] for row in rows}
