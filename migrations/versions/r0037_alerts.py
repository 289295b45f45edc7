"""Alerts: targets, rules, what rules met, and the messages that go out."""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
CREATE TABLE alert_targets (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    shape text NOT NULL CHECK (shape IN ('json', 'slack', 'discord', 'mail', 'feed')),
    address text,
    secret text,
    secret_before text,
    secret_before_until timestamptz,
    token_hash bytea,
    digest_minutes integer NOT NULL DEFAULT 60 CHECK (digest_minutes BETWEEN 1 AND 1440),
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    disabled_because text,
    gone_in_a_row integer NOT NULL DEFAULT 0,
    gone_since timestamptz,
    gone_until timestamptz,
    CHECK ((shape = 'feed') = (token_hash IS NOT NULL)),
    CHECK ((shape = 'feed') = (address IS NULL)),
    CHECK ((shape = 'json') = (secret IS NOT NULL)),
    CHECK ((secret_before IS NULL) = (secret_before_until IS NULL))
)""",
    "COMMENT ON COLUMN alert_targets.address IS 'the URL, which is often a secret, or one address of e-mail'",
    "COMMENT ON COLUMN alert_targets.secret IS 'signs messages (whsec_...); secret_before does too during a rotation'",
    "COMMENT ON COLUMN alert_targets.token_hash IS 'SHA-256 of the secret part of a feed''s link'",
    "COMMENT ON COLUMN alert_targets.digest_minutes IS 'an e-mail tells all alerts of so many minutes'",
    "COMMENT ON COLUMN alert_targets.gone_in_a_row IS 'answers in a row that nobody is there, the first and the last'",
    """
CREATE TABLE alert_rules (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    query text NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz
)""",
    """
CREATE TABLE alert_rule_targets (
    rule_id uuid NOT NULL REFERENCES alert_rules (id) ON DELETE CASCADE,
    target_id uuid NOT NULL REFERENCES alert_targets (id) ON DELETE CASCADE,
    PRIMARY KEY (rule_id, target_id)
)""",
    "CREATE INDEX alert_rule_targets_target ON alert_rule_targets (target_id)",
    # One row: whoever changes a rule, its targets or a target adds one, in the same transaction. Writers of posts
    # compare it with the rules that they have.
    "CREATE TABLE alert_rules_version (version bigint NOT NULL)",
    "INSERT INTO alert_rules_version VALUES (0)",
    """
CREATE TABLE alert_matches (
    id uuid PRIMARY KEY,
    rule_id uuid NOT NULL REFERENCES alert_rules (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('post', 'comment', 'signal')),
    subject text COLLATE "C" NOT NULL,
    alert jsonb,
    matched_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (rule_id, kind, subject)
)""",
    "CREATE INDEX alert_matches_newest ON alert_matches (matched_at DESC, id DESC)",
    # For what is shown: a new rule may note very many matches that are not told.
    "CREATE INDEX alert_matches_told ON alert_matches (matched_at DESC, id DESC) WHERE alert IS NOT NULL",
    "CREATE INDEX alert_matches_of_rule ON alert_matches (rule_id, matched_at DESC, id DESC) WHERE alert IS NOT NULL",
    "CREATE INDEX alert_matches_subject ON alert_matches (kind, subject)",
    "COMMENT ON COLUMN alert_matches.alert IS 'what is told; NULL: met already when the rule was saved, so not told'",
    """
CREATE TABLE alert_deliveries (
    id uuid PRIMARY KEY,
    match_id uuid NOT NULL REFERENCES alert_matches (id) ON DELETE CASCADE,
    target_id uuid NOT NULL REFERENCES alert_targets (id) ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'given_up')),
    first_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    failures integer NOT NULL DEFAULT 0,
    ended_at timestamptz,
    UNIQUE (match_id, target_id)
)""",
    "CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE state = 'waiting'",
    "CREATE INDEX alert_deliveries_target ON alert_deliveries (target_id, first_at DESC)",
    "CREATE INDEX alert_deliveries_newest ON alert_deliveries (first_at DESC, id DESC)",
    "COMMENT ON COLUMN alert_deliveries.next_at IS 'not before; whoever sends moves it on first, so nobody else sends'",
    """
CREATE TABLE alert_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES alert_deliveries (id) ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    seconds double precision NOT NULL,
    verdict text NOT NULL,
    status integer,
    reason text NOT NULL,
    answer text NOT NULL
)""",
    "CREATE INDEX alert_attempts_delivery ON alert_attempts (delivery_id, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
