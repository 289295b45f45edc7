"""Topic clusters of stored posts: who joins, who leaves, and that posts and clusters always agree."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from signalflow.domain.signals.cluster_codec import decode
from signalflow.domain.signals.clusters import LIFETIME_US
from signalflow.errors import Retryable
from signalflow.events import Enriched
from signalflow.storage import topic_clusters
from signalflow.storage.erasure import erase_post
from signalflow.storage.pool import Pool
from signalflow.storage.topic_clusters import TopicClusters, forget_topic_clusters
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import CREATED, features_of, observation

LIFETIME = timedelta(microseconds=LIFETIME_US)
STORM = ("Storm hits Lisbon harbour", "Lisbon harbour closed by storm", "Storm damages harbour of Lisbon")


def post(id_: str, title: str, minute: float = 0, **changes: Any) -> Enriched:
    """A post made some minutes after CREATED, and seen at once."""
    made = CREATED + timedelta(minutes=minute)
    return observation(id_, title=title, **{"created_utc": made, "observed_at": made, "first_seen_at": made} | changes)


def taken_away(id_: str, minute: float) -> Enriched:
    return post(id_, "", minute, removed_by="author", nlp=features_of(""), author=None, permalink=None)


async def store(pool: Pool, *posts: Enriched) -> None:
    await write_batch(pool, posts)


async def clusters_of(pool: Pool) -> dict[str, str | None]:
    """The cluster of each post that was looked at."""
    rows = await pool.fetch("SELECT post_id, topic_cluster FROM post_nlp_features WHERE is_clustered ORDER BY post_id")
    return {row["post_id"]: row["topic_cluster"] for row in rows}


async def sizes(pool: Pool) -> dict[str, int]:
    """The size of each cluster, which is that of its posts."""
    kept = {row["id"]: row["size"] for row in await pool.fetch("SELECT id, size FROM topic_clusters ORDER BY id")}
    counted = await pool.fetch("SELECT topic_cluster, count(*) AS size FROM post_nlp_features GROUP BY 1")
    assert {row["topic_cluster"]: row["size"] for row in counted if row["topic_cluster"] in kept} == kept
    return kept


async def words(pool: Pool) -> str:
    """Everything that the tables of clusters hold, as text."""
    rows = await pool.fetch("SELECT t::text, state FROM topic_clusters AS t")
    return " ".join(f"{row['t']} {decode(row['state']) if row['state'] else ''}" for row in rows)


async def look(pool: Pool, clusters: TopicClusters | None = None) -> int:
    """Look at all that waits; returns at how many posts."""
    clusters, looked = clusters or TopicClusters(), 0
    while found := await clusters.step(pool):
        looked += found
    return looked


async def test_posts_that_tell_the_same_have_one_cluster_and_others_their_own(pool: Pool) -> None:
    await store(pool, post("a", STORM[0]), post("b", "Library opens in Oslo", 1), post("c", STORM[1], 2))
    await store(pool, post("d", "the of and", 3))
    assert await look(pool) == 4
    assert await clusters_of(pool) == {"a": "a", "b": "b", "c": "a", "d": None}
    assert await sizes(pool) == {"a": 2, "b": 1}
    storm = await pool.fetchrow("SELECT * FROM topic_clusters WHERE id = 'a'")
    assert storm is not None
    assert {"harbour", "lisbon"} <= set(storm["label"])
    assert (storm["began_at"], storm["newest_at"]) == (CREATED, CREATED + timedelta(minutes=2))
    assert await look(pool) == 0


async def test_a_cluster_goes_from_its_oldest_to_its_newest_post_in_whatever_order_they_come(pool: Pool) -> None:
    """A new installation reads the newest posts first, and then looks back."""
    clusters = TopicClusters()
    for number, minute in enumerate((50, -70, 0)):
        await store(pool, post(f"p{number}", STORM[number], minute))
        await look(pool, clusters)

    async def span() -> list[float]:
        row = await pool.fetchrow("SELECT began_at, newest_at FROM topic_clusters WHERE id = 'p0'")
        assert row is not None
        return [(moment - CREATED) / timedelta(minutes=1) for moment in row]

    assert await span() == [-70, 50]
    await _erase(pool, ["p1"])
    assert await span() == [0, 50]


async def test_a_later_observation_of_a_post_changes_no_cluster(pool: Pool) -> None:
    clusters = TopicClusters()
    await store(pool, post("a", STORM[0]), post("b", STORM[1], 1))
    await look(pool, clusters)
    await store(pool, post("a", STORM[0], 5, created_utc=CREATED, current_score=70), post("b", STORM[1], 0))
    assert await look(pool, clusters) == 0
    assert await clusters_of(pool) == {"a": "a", "b": "a"}


async def test_any_process_goes_on_where_the_tables_stand(pool: Pool) -> None:
    """However many look, and in turns: a leader that was one before may come back."""
    ours, theirs = TopicClusters(), TopicClusters()
    for number, (clusters, title) in enumerate(zip([ours, theirs, ours], STORM, strict=True)):
        await store(pool, post(f"p{number}", title, number), post(f"q{number}", f"Library {number} opens", number))
        assert await look(pool, clusters) == 2
    assert {id_: found for id_, found in (await clusters_of(pool)).items() if id_ < "q"} == dict.fromkeys(
        ("p0", "p1", "p2"), "p0"
    )
    assert (await sizes(pool))["p0"] == 3


async def test_processes_that_look_at_once_look_at_each_post_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_clusters, "POSTS_AT_ONCE", 5)
    await store(pool, *(post(f"p{number:02}", STORM[number % 3], number) for number in range(40)))
    assert sum(await asyncio.gather(*(look(pool) for _ in range(4)))) == 40
    assert await sizes(pool) == {"p00": 40}


async def test_what_failed_half_way_leaves_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = TopicClusters()
    await store(pool, post("a", STORM[0]))
    await look(pool, clusters)
    await store(pool, post("b", f"{STORM[1]} marker", 1))
    with monkeypatch.context() as patched:
        patched.setattr(topic_clusters, "_COUNT", "SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(Retryable):
            await clusters.step(pool)
    assert await clusters_of(pool) == {"a": "a"}
    # Neither in the tables nor in the memory of the process: what it had looked at is gone by now.
    await erase_post(pool, "b", who="tests")
    await store(pool, post("c", STORM[2], 2))
    assert await look(pool, clusters) == 2
    assert (await clusters_of(pool), await sizes(pool)) == ({"a": "a", "b": None, "c": "a"}, {"a": 2})
    assert "marker" not in await words(pool)


@pytest.mark.parametrize("how", ["on request", "taken away"])
async def test_words_of_an_erased_post_leave_its_cluster(pool: Pool, how: str) -> None:
    clusters = TopicClusters()
    await store(pool, post("a", f"{STORM[0]} marker"), post("b", STORM[1], 1), post("c", "Marker zeppelin"))
    await look(pool, clusters)
    assert "marker" in await words(pool)
    for id_ in ("a", "c"):
        if how == "on request":
            await erase_post(pool, id_, who="tests")
        else:
            await store(pool, taken_away(id_, 10))
    await look(pool, clusters)
    assert "marker" not in await words(pool)
    assert await clusters_of(pool) == {"a": None, "b": "a", "c": None}
    assert await sizes(pool) == {"a": 1}
    # What is left still finds others, also in a process that reads it anew.
    await store(pool, post("d", STORM[2], 20))
    await look(pool)
    assert (await clusters_of(pool))["d"] == "a"


async def test_a_row_that_was_deleted_by_hand_leaves_its_cluster_and_comes_back(pool: Pool) -> None:
    clusters = TopicClusters()
    await store(pool, post("a", STORM[0]), post("b", STORM[1], 1))
    await look(pool, clusters)
    await pool.execute("DELETE FROM post_nlp_features WHERE post_id = 'a'")
    await look(pool, clusters)
    assert await sizes(pool) == {"a": 1}
    await store(pool, post("a", STORM[0], 2))
    await look(pool, clusters)
    assert (await clusters_of(pool), await sizes(pool)) == ({"a": "a", "b": "a"}, {"a": 2})


async def test_a_restored_post_is_looked_at_again(pool: Pool) -> None:
    await store(pool, post("a", STORM[0]), post("b", STORM[1], 1))
    await look(pool)
    await store(pool, taken_away("b", 5))
    await look(pool)
    assert await sizes(pool) == {"a": 1}
    await store(pool, post("b", STORM[1], 9))
    await look(pool)
    assert await clusters_of(pool) == {"a": "a", "b": "a"}
    assert await sizes(pool) == {"a": 2}


async def test_a_cluster_ends_two_days_after_its_last_post(pool: Pool) -> None:
    before = -LIFETIME.total_seconds() / 60 - 1
    await store(pool, post("a", STORM[0], before), post("b", STORM[1], before + 1), post("c", "Library opens", before))
    await look(pool)
    await store(pool, post("d", STORM[2]))
    await look(pool)
    # Of the one that ended with several posts the row stays, without what decides who joins.
    rows = await pool.fetch("SELECT id, state IS NULL AS has_ended FROM topic_clusters ORDER BY id")
    assert {row["id"]: row["has_ended"] for row in rows} == {"a": True, "d": False}
    assert (await clusters_of(pool))["d"] == "d"
    await _erase(pool, ["b"])
    assert await sizes(pool) == {"d": 1}, "a post that is left alone is no topic"


async def test_an_ended_cluster_forgets_words_too(pool: Pool) -> None:
    before = -LIFETIME.total_seconds() / 60 - 9
    await store(pool, *(post(id_, title, before) for id_, title in zip("abc", STORM, strict=True)))
    await look(pool)
    await store(pool, post("d", "Library opens in Oslo"))
    await look(pool)
    await pool.execute("UPDATE topic_clusters SET label = '{marker,storm,lisbon}' WHERE id = 'a'")
    await _erase(pool, ["c"])
    assert "marker" not in await words(pool)
    assert (await sizes(pool))["a"] == 2


async def test_a_post_that_is_older_than_all_clusters_has_none(pool: Pool) -> None:
    await store(pool, post("a", STORM[0]))
    await look(pool)
    await store(pool, post("b", STORM[1], -LIFETIME.total_seconds() / 60))
    await look(pool)
    assert await clusters_of(pool) == {"a": "a", "b": None}


async def test_a_post_of_the_future_ends_no_cluster(pool: Pool) -> None:
    await store(pool, post("a", STORM[0]))
    wrong = post("b", "Library opens in Oslo", 1, created_utc=CREATED + timedelta(days=300))
    await store(pool, wrong)
    await look(pool)
    await store(pool, post("c", STORM[1], 2))
    await look(pool)
    assert await sizes(pool) == {"a": 2, "b": 1}


async def test_ended_clusters_are_forgotten_after_their_days(pool: Pool) -> None:
    await store(pool, post("a", STORM[0]), post("b", STORM[1], 1))
    await look(pool)
    await pool.execute("UPDATE topic_clusters SET state = NULL, newest_at = now() - interval '11 days'")
    await forget_topic_clusters(pool, 12)
    assert await sizes(pool) == {"a": 2}
    await forget_topic_clusters(pool, 10)
    assert await sizes(pool) == {}


async def _erase(pool: Pool, ids: Sequence[str]) -> None:
    for id_ in ids:
        await erase_post(pool, id_, who="tests")
    await look(pool)
