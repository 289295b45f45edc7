"""Signals for tests: rows of their table."""

import json
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from signalflow.storage.pool import Pool
from tests.integration.storage_rows import NOON


def signal(id_: str = "unusual_here-python-20260101T120000Z", **changes: Any) -> dict[str, Any]:
    """A row: a subreddit with four times its usual posts, which began at NOON, with these columns changed."""
    row: dict[str, Any] = {
        "id": id_,
        "kind": "unusual_here",
        "rule_version": 1,
        "subject_kind": "subreddit",
        "subject": "python",
        "subreddit": "python",
        "started_at": NOON,
        "peak_at": NOON,
        "ended_at": None,
        "changed_at": changes.get("started_at", NOON),
        "strength": 5.27,
        "observed": 12.0,
        "expected": 3.0,
        "post_ids": [],
        "inputs": {"mean": 3.0, "variance": 2.25},
        "source_topic": "reddit.signals.inputs",
        "source_partition": 0,
        "source_offset": 7,
    }
    return row | changes


def viral(post_id: str = "abc", **changes: Any) -> dict[str, Any]:
    """A row: a post that is 73.9 % likely to be among the best, with these columns changed."""
    fields: dict[str, Any] = {
        "kind": "viral",
        "subject_kind": "post",
        "subject": post_id,
        "strength": 0.739,
        "observed": 480.0,
        "expected": 2300.0,
        "post_ids": [post_id],
        "inputs": {"age_seconds": 7300.0, "log_odds_score": 1.2, "log_odds_velocity": None},
    }
    return signal(f"viral-{post_id}", **fields | changes)


def burst(term: str = "rocket launch", **changes: Any) -> dict[str, Any]:
    """A row: a term that is in 9 posts of 4 subreddits in an hour, with these columns changed."""
    hash_ = blake2b(term.encode(), digest_size=8).hexdigest()
    fields: dict[str, Any] = {
        "kind": "burst",
        "subject_kind": "term",
        "subject": hash_,
        "subreddit": None,
        "strength": 29.0,
        "observed": 9.0,
        "expected": 0.31,
        "inputs": {"past_posts": 3.2, "past_hours": 60.0, "observed": 4.0, "peak": 9.0, "count": 14.0}
        | {"subreddits": 4.0, "chance": 2e-5},
    }
    return signal(f"burst-{hash_}-20260101T120000Z", **fields | changes)


async def store_signals(pool: Pool, *rows: dict[str, Any]) -> None:
    """Insert rows."""
    for row in rows:
        names = ", ".join(row)
        values = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await pool.execute(
            f"INSERT INTO signals ({names}) VALUES ({values})", *(row | {"inputs": json.dumps(row["inputs"])}).values()
        )


def minutes(number: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)
