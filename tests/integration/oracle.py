"""What the tables must hold, computed from the log in offset order, with no code of the pipeline."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import pytest

TOLERANCE = 1e-9


@dataclass
class ExpectedPost:
    """One post after all its observations."""

    newest: datetime
    first_seen: datetime
    score: int
    comments: int
    velocity: float | None
    history: dict[datetime, tuple[int, int, float | None]] = field(default_factory=dict)


def expected_tables(records: Iterable[Any]) -> dict[str, ExpectedPost]:
    """Posts with their history, from raw records; the first of several records of one moment counts."""
    posts: dict[str, ExpectedPost] = {}
    for record in records:
        envelope = json.loads(record.value)
        payload = envelope["payload"]
        at = datetime.fromisoformat(envelope["metadata"]["observed_at"])
        score, comments = payload["score"], payload["num_comments"]
        post = posts.get(payload["id"])
        if post is None:
            post = posts[payload["id"]] = ExpectedPost(at, at, score, comments, None)
            post.history[at] = (score, comments, None)
            continue
        post.first_seen = min(post.first_seen, at)
        if at in post.history:
            continue
        velocity = None
        if at > post.newest:
            velocity = (score - post.score) / max((at - post.newest).total_seconds(), 1.0)
            post.newest, post.score, post.comments, post.velocity = at, score, comments, velocity
        post.history[at] = (score, comments, velocity)
    return posts


def differences(
    expected: dict[str, ExpectedPost], posts: list[asyncpg.Record], history: list[asyncpg.Record]
) -> dict[str, list[str]]:
    """Missing, extra and wrong rows of both tables; every list empty when the tables are right."""
    found = {row["id"]: row for row in posts}
    rows = {(row["post_id"], row["observed_at"]): row for row in history}
    wanted = {(post_id, at) for post_id, post in expected.items() for at in post.history}
    report: dict[str, list[str]] = {
        "missing posts": sorted(expected.keys() - found.keys()),
        "extra posts": sorted(found.keys() - expected.keys()),
        "missing history": [f"{post_id} {at}" for post_id, at in sorted(wanted - rows.keys())],
        "extra history": [f"{post_id} {at}" for post_id, at in sorted(rows.keys() - wanted)],
        "duplicated history": [] if len(rows) == len(history) else [f"{len(history) - len(rows)} rows"],
        "wrong posts": [],
        "wrong history": [],
    }
    for post_id in expected.keys() & found.keys():
        post, row = expected[post_id], found[post_id]
        same = (
            row["current_score"] == post.score
            and row["current_comments"] == post.comments
            and row["first_seen_at"] == post.first_seen
            and row["last_polled_at"] == post.newest
            and row["score_velocity"] == _close(post.velocity)
        )
        if not same:
            report["wrong posts"].append(f"{post_id}: expected {post.score}, {post.velocity}; found {dict(row)}")
    for key in wanted & rows.keys():
        score, comments, velocity = expected[key[0]].history[key[1]]
        row = rows[key]
        if (row["score"], row["num_comments"]) != (score, comments) or row["score_velocity"] != _close(velocity):
            report["wrong history"].append(f"{key}: expected {score}, {velocity}; found {dict(row)}")
    return report


def _close(velocity: float | None) -> Any:
    return None if velocity is None else pytest.approx(velocity, rel=1e-6, abs=TOLERANCE)
