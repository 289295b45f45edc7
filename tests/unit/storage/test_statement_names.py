"""Names of statements for metrics: they are few, and say which statement is slow."""

import pytest

from signalflow.storage import coverage, jobs, workers, writer
from signalflow.storage.statement_names import OTHER, TABLES, name_of


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (writer.STORE_POSTS.sql, "insert posts"),
        (writer.STORE_HISTORY.sql, "insert post_metrics_history"),
        (writer._FORGET, "update post_nlp_features"),
        (jobs._RECOMPUTE, "insert post_metrics_hourly"),
        (jobs._UNTOUCH, "delete rollup_touched"),
        (workers._LIVE, "select workers"),
        (coverage._FOLLOWED, "select listing_gaps"),
        (coverage._POSTS, "select posts"),
        ("COMMIT;", "commit"),
        ("ROLLBACK;", "rollback"),
        ("BEGIN;", OTHER),
        ("SELECT now()", OTHER),
        ("SELECT id FROM posts ORDER BY id FOR UPDATE SKIP LOCKED", "select posts"),
        ("SELECT 1 FROM secret_of_somebody", OTHER),
    ],
)
def test_a_statement_is_named_by_what_it_writes_or_else_reads(sql: str, name: str) -> None:
    assert name_of(sql) == name


def test_there_are_few_names_whatever_is_asked() -> None:
    names = {name_of(f"{verb} {table} {n}") for verb in ("INSERT INTO", "UPDATE", "DELETE FROM", "SELECT * FROM")
             for table in (*TABLES, "strange", "posts_2") for n in range(3)}  # fmt: skip
    assert len(names) == 4 * len(TABLES) + 1
