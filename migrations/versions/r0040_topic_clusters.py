"""Topic clusters: which posts tell the same."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Finding the posts of the last days may take longer than a migration usually may. SET LOCAL ends with the revision.
    "SET LOCAL statement_timeout = 0",
    # A cluster that has ended has no state. Of one that ended with a single post there is no row.
    """
CREATE TABLE topic_clusters (
    id text PRIMARY KEY,
    label text[] NOT NULL,
    size integer NOT NULL,
    began_at timestamptz NOT NULL,
    newest_at timestamptz NOT NULL,
    state bytea
)""",
    "COMMENT ON COLUMN topic_clusters.id IS 'the id of its first post'",
    "COMMENT ON COLUMN topic_clusters.label IS 'its heaviest words, the heaviest one first'",
    "COMMENT ON COLUMN topic_clusters.began_at IS 'when its oldest post was made'",
    "COMMENT ON COLUMN topic_clusters.newest_at IS 'when its newest post was made'",
    "COMMENT ON COLUMN topic_clusters.state IS 'what decides who joins (cluster_codec.py); NULL: it has ended'",
    "CREATE INDEX topic_clusters_newest ON topic_clusters (newest_at DESC, id DESC) WHERE size > 1",
    "CREATE INDEX topic_clusters_living ON topic_clusters (id) WHERE state IS NOT NULL",
    # One row. Who changes clusters locks it, and counts: so nobody goes on with clusters that another one has changed.
    "CREATE TABLE topic_clusters_version (version bigint NOT NULL)",
    "INSERT INTO topic_clusters_version VALUES (0)",
    # Posts that left their cluster: theirs must forget their words.
    """
CREATE TABLE topic_departures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_cluster text NOT NULL
)""",
    # Posts that were stored before are looked at if they are of the last two days, for which a cluster lives.
    "ALTER TABLE post_nlp_features ADD COLUMN is_clustered boolean NOT NULL DEFAULT true",
    "ALTER TABLE post_nlp_features ALTER COLUMN is_clustered SET DEFAULT false",
    "COMMENT ON COLUMN post_nlp_features.is_clustered IS 'whether its topic cluster was looked for'",
    """
UPDATE post_nlp_features SET is_clustered = false, topic_cluster = NULL FROM posts
WHERE id = post_id AND created_utc > now() - interval '2 days'""",
    "CREATE INDEX post_nlp_features_unclustered ON post_nlp_features (post_id) WHERE NOT is_clustered",
    "CREATE INDEX post_nlp_features_of_cluster ON post_nlp_features (topic_cluster) WHERE topic_cluster IS NOT NULL",
    # A post whose title is another one, is gone or is back is looked at again. Each erasure does so, whoever erases.
    """
CREATE FUNCTION leave_topic_cluster() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF OLD.topic_cluster IS NOT NULL THEN
        INSERT INTO topic_departures (topic_cluster) VALUES (OLD.topic_cluster);
    END IF;
    NEW.topic_cluster := NULL;
    NEW.is_clustered := false;
    RETURN NEW;
END $function$""",
    """
CREATE TRIGGER leave_topic_cluster BEFORE UPDATE ON post_nlp_features FOR EACH ROW
WHEN (OLD.title <> NEW.title OR OLD.topic_cluster IS NOT NULL AND NEW.topic_cluster IS NULL)
EXECUTE FUNCTION leave_topic_cluster()""",
    """
CREATE FUNCTION depart_from_topic_cluster() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO topic_departures (topic_cluster) VALUES (OLD.topic_cluster);
    RETURN NULL;
END $function$""",
    """
CREATE TRIGGER depart_from_topic_cluster AFTER DELETE ON post_nlp_features FOR EACH ROW
WHEN (OLD.topic_cluster IS NOT NULL)
EXECUTE FUNCTION depart_from_topic_cluster()""",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
