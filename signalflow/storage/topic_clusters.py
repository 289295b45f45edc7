"""Finds the topic cluster of each stored post (docs/decisions/clusters.md).

Posts are looked at once they are stored, in the order of their creation, a few in a transaction that stores what
becomes of their clusters too. So both always agree, after whatever was killed. Words of an erased post leave its
cluster the next time that anybody calls `step`.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from signalflow.domain.signals.cluster_codec import decode, encode
from signalflow.domain.signals.clusters import MOST_POSTS, Cluster, Clusters, Told, label_of
from signalflow.storage.pool import Connection, Pool, connection, transaction

# So many titles take some 20 ms.
POSTS_AT_ONCE = 100

_WAITS = """
SELECT EXISTS (SELECT FROM post_nlp_features WHERE NOT is_clustered) OR EXISTS (SELECT FROM topic_departures)
"""
_LOCK = "SELECT version FROM topic_clusters_version FOR UPDATE"
_COUNT = "UPDATE topic_clusters_version SET version = version + 1 RETURNING version"
_LIVING = "SELECT state FROM topic_clusters WHERE state IS NOT NULL"
_DEPARTED = """
DELETE FROM topic_departures WHERE id IN (SELECT id FROM topic_departures ORDER BY id LIMIT $1) RETURNING topic_cluster
"""
_LEFT = """
SELECT topic_cluster, count(*) AS size, min(LEAST(created_utc, first_seen_at)) AS began_at,
    max(LEAST(created_utc, first_seen_at)) AS newest_at
FROM post_nlp_features JOIN posts ON id = post_id WHERE topic_cluster = ANY ($1::text[]) GROUP BY 1
"""
_NEWEST_POSTS = """
SELECT topic_cluster, id, title, url FROM unnest($1::text[]) AS c (topic_cluster) CROSS JOIN LATERAL (
    SELECT p.id, n.title, p.url, p.created_utc FROM post_nlp_features AS n JOIN posts AS p ON p.id = n.post_id
    WHERE n.topic_cluster = c.topic_cluster ORDER BY p.created_utc DESC, p.id DESC LIMIT $2
) AS newest ORDER BY topic_cluster, created_utc, id
"""
# Who stores or erases posts locks them in this order too, before their features.
_LOCK_POSTS = """
SELECT id FROM posts
WHERE id IN (SELECT post_id FROM post_nlp_features WHERE NOT is_clustered ORDER BY post_id LIMIT $1)
ORDER BY id FOR NO KEY UPDATE
"""
# The times that a post names are those of its source, which may be wrong; when it was seen first is known.
_WAITING = """
SELECT id, n.title, url, LEAST(created_utc, first_seen_at) AS made_at
FROM posts JOIN post_nlp_features AS n ON post_id = id WHERE id = ANY ($1::text[]) AND NOT is_clustered
ORDER BY made_at, id
"""
_ASSIGN = """
UPDATE post_nlp_features AS n SET is_clustered = true, topic_cluster = r.cluster
FROM unnest($1::text[], $2::text[]) AS r (id, cluster) WHERE post_id = r.id
"""
_STORE = """
INSERT INTO topic_clusters AS c (id, label, size, began_at, newest_at, state) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET
    label = EXCLUDED.label, size = EXCLUDED.size, state = EXCLUDED.state,
    began_at = LEAST(c.began_at, EXCLUDED.began_at), newest_at = GREATEST(c.newest_at, EXCLUDED.newest_at)
"""
_RETELL = "UPDATE topic_clusters SET label = $2, size = $3, began_at = $4, newest_at = $5 WHERE id = $1"
_REMOVE = "DELETE FROM topic_clusters WHERE id = $1"
_END = "UPDATE topic_clusters SET state = NULL WHERE id = ANY ($1::text[])"
# A post that stayed alone is no topic.
_REMOVE_SINGLE = "DELETE FROM topic_clusters WHERE id = ANY ($1::text[]) AND state IS NULL AND size < 2"
_FORGET = "DELETE FROM topic_clusters WHERE state IS NULL AND newest_at < now() - make_interval(days => $1)"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TopicClusters:
    """The living clusters, as this process knows them. Any number of processes may call `step`."""

    def __init__(self) -> None:
        self._clusters: Clusters | None = None
        self._version = -1

    async def step(self, pool: Pool) -> int:
        """Look at up to POSTS_AT_ONCE posts, and at as many clusters that a post has left. Returns how many posts.

        Raises Retryable while the database is away; the next call goes on where the tables stand.
        """
        async with connection(pool) as reading:
            if not await reading.fetchval(_WAITS):
                return 0
        try:
            async with transaction(pool) as storing:
                return await self._step(storing)
        except BaseException:
            # Nothing of this step may be stored.
            self._clusters = None
            raise

    async def _step(self, storing: Connection) -> int:
        clusters = await self._living(storing)
        changes = _Changes()
        await _let_go(storing, clusters, changes)
        posts = await _look_at(storing, clusters, changes)
        await changes.write(storing)
        self._version = await storing.fetchval(_COUNT)
        return posts

    async def _living(self, storing: Connection) -> Clusters:
        """The clusters as they are stored. Nobody changes them until this transaction ends."""
        version = await storing.fetchval(_LOCK)
        if self._clusters is None or version != self._version:
            states = [row["state"] for row in await storing.fetch(_LIVING)]
            self._clusters = await asyncio.to_thread(lambda: Clusters(map(decode, states)))
        return self._clusters


class _Changes:
    """What a step changes of clusters, by their ids."""

    def __init__(self) -> None:
        self._living: dict[str, Cluster] = {}
        # When the oldest and the newest of the posts that were looked at were made.
        self._spans: dict[str, tuple[datetime, datetime]] = {}
        self.ended: set[str] = set()

    def note(self, cluster: Cluster, oldest: datetime, newest: datetime) -> None:
        self._living[cluster.id] = cluster
        self.ended.discard(cluster.id)
        began_at, newest_at = self._spans.get(cluster.id, (oldest, newest))
        self._spans[cluster.id] = min(began_at, oldest), max(newest_at, newest)

    async def write(self, storing: Connection) -> None:
        rows = [
            (id_, list(each.label), each.size, *self._spans[id_], encode(each)) for id_, each in self._living.items()
        ]
        await storing.executemany(_STORE, rows)
        await storing.execute(_END, sorted(self.ended))
        await storing.execute(_REMOVE_SINGLE, sorted(self.ended))


async def _let_go(storing: Connection, clusters: Clusters, changes: _Changes) -> None:
    """Make the clusters anew that posts have left."""
    departed = sorted({row["topic_cluster"] for row in await storing.fetch(_DEPARTED, POSTS_AT_ONCE)})
    if not departed:
        return
    left = {row["topic_cluster"]: row for row in await storing.fetch(_LEFT, departed)}
    posts: defaultdict[str, list[Told]] = defaultdict(list)
    for row in await storing.fetch(_NEWEST_POSTS, departed, MOST_POSTS):
        posts[row["topic_cluster"]].append(Told(row["id"], row["title"], row["url"]))
    for id_ in departed:
        if id_ not in left:
            clusters.retell(id_, 0, [])
            await storing.execute(_REMOVE, id_)
            continue
        _, size, oldest, newest = left[id_]
        cluster = clusters.retell(id_, size, posts[id_])
        label = cluster.label if cluster else label_of(post.title for post in posts[id_])
        await storing.execute(_RETELL, id_, list(label), size, oldest, newest)
        if cluster:
            changes.note(cluster, oldest, newest)
        else:
            changes.ended.add(id_)


async def _look_at(storing: Connection, clusters: Clusters, changes: _Changes) -> int:
    """Find the clusters of posts that wait. Returns how many."""
    locked = [row["id"] for row in await storing.fetch(_LOCK_POSTS, POSTS_AT_ONCE)]
    found: dict[str, str | None] = {}
    for row in await storing.fetch(_WAITING, locked):
        made_us = (row["made_at"] - _EPOCH) // timedelta(microseconds=1)
        found[row["id"]] = None
        if clusters.has_passed(made_us):
            continue
        cluster, _, _, ended = clusters.add(row["id"], row["title"], row["url"], made_us)
        changes.ended.update(ended)
        if cluster is not None:
            found[row["id"]] = cluster.id
            changes.note(cluster, row["made_at"], row["made_at"])
    await storing.execute(_ASSIGN, list(found), list(found.values()))
    return len(found)


async def forget_topic_clusters(pool: Pool, days: int) -> None:
    """Remove the clusters that no post has joined for more than `days` days."""
    async with connection(pool) as deleting:
        await deleting.execute(_FORGET, days)
