"""Topic clusters for tests, as rows of their table, and posts that are in them."""

from datetime import timedelta
from typing import Any

import asyncpg

from tests.integration.storage_rows import NOON

LABEL = ["supreme", "genes", "court"]


async def store_topic(pool: asyncpg.Pool, id_: str, *posts: str, **changes: Any) -> None:
    """A living cluster that the last post joined at noon, with these posts, which are stored already."""
    row = {
        "label": LABEL,
        "size": max(len(posts), 1),
        "began_at": NOON - timedelta(hours=3),
        "newest_at": NOON,
        "state": b"state",
    } | changes
    await pool.execute(
        "INSERT INTO topic_clusters (id, label, size, began_at, newest_at, state) VALUES ($1, $2, $3, $4, $5, $6)",
        id_,
        *(row[name] for name in ("label", "size", "began_at", "newest_at", "state")),
    )
    await pool.execute(
        "UPDATE post_nlp_features SET topic_cluster = $1, is_clustered = true WHERE post_id = ANY ($2)", id_, posts
    )
