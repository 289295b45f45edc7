"""A new line in the table of columns brings a new value into the database."""

import pytest

from signalflow.storage import writer
from signalflow.storage.columns import FEATURES, HISTORY, POSTS, Column, Guard
from signalflow.storage.pool import Pool
from signalflow.storage.writer import posts_statement, write_batch
from tests.integration.storage_rows import NOON, column, observation


async def test_a_new_column_of_posts_arrives_under_its_guard(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await pool.execute("ALTER TABLE posts ADD newest_mode text, ADD text_mode text, ADD first_mode text")
    added = (
        Column("newest_mode", "text", "mode"),
        Column("text_mode", "text", "mode", Guard.TEXT),
        Column("first_mode", "text", "mode", Guard.FIRST),
    )
    monkeypatch.setattr(writer, "STORE_POSTS", posts_statement((*POSTS[:5], *added, *POSTS[5:]), FEATURES))
    await write_batch(pool, [observation("a", 10, mode="hot", body="the text", first_seen_at=NOON)])
    await write_batch(pool, [observation("a", 20, mode="top"), observation("a", 5, mode="new", body="older text")])
    found = await pool.fetchrow("SELECT newest_mode, text_mode, first_mode, current_score, body FROM posts")
    assert found is not None
    assert tuple(found) == ("top", "hot", "hot", 1, "the text")


async def test_a_new_text_feature_arrives(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await pool.execute("ALTER TABLE post_nlp_features ADD words jsonb")
    features = (*FEATURES, Column("words", "jsonb", "nlp.keywords"))
    monkeypatch.setattr(writer, "STORE_POSTS", posts_statement(POSTS, features))
    await write_batch(pool, [observation("a", 0, title="two words")])
    assert await column(pool, "post_nlp_features", "words") == ['["two", "words"]']


@pytest.mark.parametrize(
    ("table", "columns", "by_the_statement"),
    [
        ("posts", POSTS, {"not_shown_since"}),
        ("post_nlp_features", FEATURES, {"post_id", "title", "topic_cluster", "is_clustered"}),
        ("post_metrics_history", HISTORY, set()),
    ],
)
async def test_every_column_of_the_database_is_written(
    pool: Pool, table: str, columns: tuple[Column, ...], by_the_statement: set[str]
) -> None:
    existing = await pool.fetch(
        "SELECT attname::text AS name FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        table,
    )
    assert {row["name"] for row in existing} == {column.name for column in columns} | by_the_statement
