"""Accounts: users, sessions, API keys, links that sign in once, and the audit log."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Users are disabled and never deleted, so a name in the audit log or in a token always means the same person.
    """
CREATE TABLE users (
    name text COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    role text NOT NULL CHECK (role IN ('reader', 'operator', 'admin')),
    password_hash text,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
)""",
    "COMMENT ON COLUMN users.password_hash IS 'argon2id; NULL: signs in by link or API key only'",
    """
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_name text COLLATE "C" NOT NULL REFERENCES users (name),
    kind text NOT NULL CHECK (kind IN ('token', 'browser')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text CHECK (ended_because IN ('signed_out', 'refresh_reused', 'password_changed', 'disabled')),
    CHECK ((ended_at IS NULL) = (ended_because IS NULL))
)""",
    "COMMENT ON TABLE sessions IS 'a sign-in and all tokens that came from it (their family)'",
    "CREATE INDEX sessions_user ON sessions (user_name)",
    "CREATE INDEX sessions_expire ON sessions (expires_at)",
    # Used tokens stay as long as their session: a token that is used again was stolen.
    """
CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    issued_at timestamptz NOT NULL,
    used_at timestamptz
)""",
    "CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id)",
    """
CREATE TABLE sign_in_links (
    token_hash bytea PRIMARY KEY,
    user_name text COLLATE "C" NOT NULL REFERENCES users (name),
    expires_at timestamptz NOT NULL
)""",
    """
CREATE TABLE api_keys (
    prefix text COLLATE "C" PRIMARY KEY,
    key_hash bytea NOT NULL,
    user_name text COLLATE "C" NOT NULL REFERENCES users (name),
    label text NOT NULL,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'dlq', 'config', 'admin']),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
) WITH (fillfactor = 70)""",
    "COMMENT ON COLUMN api_keys.prefix IS 'the public part of the key, by which it is found and named'",
    "COMMENT ON COLUMN api_keys.last_used_at IS 'to the minute'",
    """
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    who text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    details jsonb NOT NULL CHECK (jsonb_typeof(details) = 'object')
)""",
    "COMMENT ON COLUMN audit_log.who IS 'name of a user, or cli:<account of the system>'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
