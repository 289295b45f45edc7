"""Every setting, once. Nothing else in the project reads the environment.

Settings are environment variables with the prefix SIGNALFLOW_ (SIGNALFLOW_KAFKA=host:9092).
`scripts/make_settings_table.py` makes the table in docs/settings.md of their descriptions.
"""

import difflib
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    RedisDsn,
    SecretStr,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from signalflow import fail_points
from signalflow.alert_settings import AlertSettings
from signalflow.database_settings import DatabaseSettings, Seconds
from signalflow.kafka_settings import KafkaSettings
from signalflow.reddit_settings import RedditSettings
from signalflow.written_settings import WrittenSettings

# Shells put the home in the place of ~, but files of settings and units of systemd do not.
Directory = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MIN_TOKEN_CHARACTERS = 32


class Settings(AlertSettings, RedditSettings, DatabaseSettings, KafkaSettings, WrittenSettings):
    """All settings with their defaults. A value out of range raises pydantic.ValidationError, which names it."""

    model_config = SettingsConfigDict(
        env_prefix="SIGNALFLOW_", extra="ignore", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    # --- where things are
    state_dir: Directory = Field(
        Path(".signalflow"), description="Where workers keep RocksDB and the local stack its data."
    )
    join_local_stack: bool = Field(
        False,
        description="A worker uses the Kafka and PostgreSQL that `signalflow up` runs in the state directory.",
    )
    worker_name: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Stable name of this worker, unique in the installation; empty: the first free of worker-1, "
        "worker-2, ... in the state directory, with the names of host and directory behind it.",
    )

    # --- Faust application and topics
    app_id: str = Field("signalflow", description="Consumer group, and prefix of the changelog and leader topics.")
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="Prefix of the `reddit.*` topics. To share one Kafka, give another SIGNALFLOW_APP_ID too.",
    )
    topic_partitions: int = Field(
        12,
        ge=1,
        le=512,
        description="Partitions of new topics, except the leader's, which has one; as many workers can share the load.",
    )
    topic_replication: int = Field(
        1, ge=1, le=9, description="Replication factor of every topic; 3 in production (min ISR 2)."
    )
    topic_retention_days: int = Field(
        3,
        ge=1,
        le=6,
        description="Days that Kafka keeps records of posts and comments; one more until their segment is full.",
    )
    dead_letter_retention_days: int = Field(
        6, ge=1, le=6, description="The same for dead letters, which hold the records that failed."
    )
    topic_check_seconds: float = Field(
        60.0,
        ge=1,
        le=600,
        description="Seconds between checks of the topics: partitions that were added, topics that were made anew.",
    )
    broker_session_timeout: Seconds = Field(
        10.0, description="Seconds until a silent worker's partitions move to another."
    )
    broker_heartbeat_interval: Seconds = Field(
        1.0,
        description="Seconds between heartbeats to the group coordinator, which tell a worker of a rebalance.",
    )
    broker_rebalance_timeout: Seconds = Field(
        20.0, description="Seconds a worker may take to finish its batch at a rebalance."
    )
    broker_commit_interval: Seconds = Field(1.0, description="Seconds between offset commits.")
    position_check_seconds: Seconds = Field(
        60.0, description="Seconds between comparisons of logs and tables with what was committed."
    )
    worker_token: SecretStr = Field(
        SecretStr(""),
        description="What opens the web views of workers to the API and to Prometheus, and the metrics of the API to "
        "Prometheus, of at least 32 characters; the same for every process. Empty: workers are open, on loopback only.",
    )
    worker_web_host: str = Field(
        "127.0.0.1",
        description="Address the worker's web views bind to and are reached at; beyond loopback it needs "
        "SIGNALFLOW_WORKER_TOKEN.",
    )
    worker_web_port: int = Field(
        6066,
        ge=1,
        le=65535,
        description="Port of the web views of worker-1; worker-2 has the next, a worker with another name this one.",
    )

    # --- the guard against skipped offsets (docs/decisions/faust-cures.md)
    contiguity_guard: bool = Field(
        True,
        description="Stop the worker when an offset was skipped, and never commit past it; off: pass over the hole.",
    )

    # --- enrich agent
    enrich_max_records: int = Field(1000, ge=1, le=20_000, description="Most records in one unit of work.")
    enrich_gather_seconds: float = Field(
        0.05, ge=0, le=10, description="Longest wait for more records after the first."
    )
    observed_ahead_minutes: float = Field(
        10.0,
        gt=0,
        le=527_040,
        description="Minutes that an observation may be later than Kafka got its record; a later one is a dead letter. "
        "A simulator whose clock runs ahead needs more.",
    )
    trend_window: int = Field(
        300,
        ge=10,
        le=86_400,
        description="Seconds, at least, between the two observations of a post that its trend velocity compares.",
    )
    trending_velocity_high: float = Field(
        50.0, gt=0, description="Trend velocity, in score per second, that adds 0.4 to the trending score."
    )
    trending_velocity_low: float = Field(
        10.0, gt=0, description="Trend velocity, in score per second, that adds 0.2 to the trending score."
    )
    trending_sentiment: float = Field(0.5, ge=0, le=1, description="Absolute sentiment above which 0.2 is added.")
    trending_comments: int = Field(100, ge=0, description="Comments above which 0.2 is added.")
    trending_threshold: float = Field(0.5, ge=0, le=1, description="Trending score from which a post is trending.")
    fold_apostrophes: bool = Field(
        True,
        description="Score a title with typographic apostrophes (isn’t) as if they were plain; VADER knows only those.",
    )
    post_state_hours: float = Field(
        48.0, gt=0, description="Hours after its creation for which a post's state is kept."
    )

    # --- signals
    signals: bool = Field(
        True,
        description="Compute signals: what takes off, what is unusual in its subreddit, and terms that many "
        "posts tell at once; off: posts alone.",
    )
    signals_gather_seconds: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Longest wait of the signals agent, and of the agent of terms, for more records after the first. "
        "Each batch writes what is usual in each of its subreddits, 1.5 to 4 kB, so a shorter wait costs disk.",
    )
    signal_retention_days: int = Field(
        90,
        ge=1,
        description="Days that signals are kept after they last changed, and topics after the last post joined.",
    )

    # --- sink agent and retention
    sink_max_records: int = Field(50, ge=1, le=20_000, description="Records that make a flush due.")
    sink_max_seconds: float = Field(2.0, gt=0, le=60, description="Longest time a record waits for its flush.")
    sink_max_records_behind: int = Field(
        2000, ge=1, le=20_000, description="Most records of one flush when the sink is behind."
    )
    history_retention_days: int = Field(90, ge=1, description="Days that post_metrics_history is kept.")
    run_retention_days: int = Field(14, ge=1, le=366, description="Days that the run history is kept.")

    # --- backfill and replay
    backfill_rate: float = Field(
        2000.0,
        ge=0,
        le=1_000_000,
        description="Records a second that `signalflow backfill` and `signalflow replay` send; 0: as fast as Kafka "
        "confirms. New posts wait behind them in the same partitions.",
    )

    # --- dead letters
    dlq_resolved_days: int = Field(
        90,
        ge=8,  # The topic keeps them for seven days at most, and `verify` looks for what it has.
        description="Days that a dead letter is kept in the database after it was resolved; others are kept for ever.",
    )
    dlq_max_attempts: int = Field(
        5, ge=1, le=1000, description="Attempts of one record; a dead letter of the last attempt is not replayed."
    )
    dlq_replay_most: int = Field(1000, ge=1, le=100_000, description="Most records of one replay.")
    dlq_replay_rate: float = Field(100.0, gt=0, le=10_000, description="Records a second that a replay sends.")
    dlq_limit_in_row: int = Field(
        100, ge=0, description="Dead letters in a row, in one partition, at which the worker stops; 0: no limit."
    )
    dlq_limit_share: float = Field(
        0.2, ge=0, le=1, description="Share of dead letters above which the worker stops; 0: no limit."
    )
    dlq_limit_window: int = Field(
        1000, ge=1, le=100_000, description="How many of the last records of a partition the share is taken of."
    )

    # --- cache of the API
    redis_url: SecretStr = Field(
        SecretStr(""),
        description="Redis or Valkey where API processes share cached answers and rate limits; empty: none shared.",
    )

    # --- API sidecar
    api_host: str = Field("127.0.0.1", min_length=1, description="Address the API binds to; `0.0.0.0`: all of them.")
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    api_secret: SecretStr = Field(
        SecretStr(""),
        description="Signs users' tokens; the same for every API process. Only `signalflow up` makes its own.",
    )
    api_key: SecretStr = Field(SecretStr(""), description="The API key with which `signalflow mcp` reads.")
    pseudonym_key: SecretStr = Field(
        SecretStr(""),
        description="Makes pseudonyms in exports, the same in all files; empty: each file has its own. Keep it secret.",
    )
    api_allowed_hosts: str = Field(
        "",
        description="Domain names of the API, comma-separated; addresses and names without a dot always work.",
    )
    api_trusted_proxies: str = Field(
        "",
        description="Addresses of proxies whose `X-Forwarded-...` headers are trusted, comma-separated; empty: none.",
    )
    rate_limit_per_minute: int = Field(
        6000,
        ge=60,
        description="Requests a minute of one user or API key; one address may send five times as many.",
    )

    # --- live stream
    live_frame_ms: int = Field(
        200, ge=20, le=5_000, description="Milliseconds between two frames to one client, at least."
    )
    live_heartbeat_seconds: Seconds = Field(15.0, description="Seconds between heartbeats to a client.")
    live_clients: int = Field(2_000, ge=1, le=20_000, description="Most live clients of one API process.")
    live_clients_per_user: int = Field(
        100, ge=1, le=20_000, description="Most live clients of one user in one process."
    )
    live_waiting_posts: int = Field(
        10_000, ge=100, description="Posts that may wait for one client before it is dropped."
    )
    live_stall_seconds: Seconds = Field(
        10.0, description="Seconds a client may take to accept a frame before it is dropped."
    )
    live_tail_records: int = Field(
        5_000, ge=100, description="Newest observations kept in memory, for clients that resume."
    )
    live_resume_records: int = Field(
        100_000, ge=100, description="Most observations read again from Kafka for one client that resumes."
    )
    live_origins: str = Field(
        "",
        description="Other origins whose pages may open the live stream's socket, `https://host[,https://host]`.",
    )

    # --- logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Level of this project's own log lines."
    )
    log_json: bool = Field(False, description="Log lines as JSON instead of text.")

    # --- for the fault suite alone
    otlp_endpoint: str = Field(
        "",
        description="URL of an OpenTelemetry collector that takes traces over HTTP, such as "
        "`http://127.0.0.1:4318/v1/traces`; needs the extra `otel`. Empty: no traces.",
    )
    fail_point: str = Field(
        "",
        description="Only for the fault suite: where the worker kills itself, `name[:nth]` (`fail_points.py`).",
    )
    clock_offset_seconds: float = Field(
        0.0,
        ge=-86_400,
        le=86_400,
        description="Only for the fault suite: seconds by which the worker's clock is wrong.",
    )

    @field_validator("redis_url")
    @classmethod
    def _redis_url_is_redis(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            try:
                TypeAdapter(RedisDsn).validate_python(value.get_secret_value())
            except ValueError:
                raise ValueError("must be a URL such as redis://:password@host:6379/0") from None
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _otlp_endpoint_is_a_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be a URL such as http://127.0.0.1:4318/v1/traces")
        return value

    @field_validator("fail_point")
    @classmethod
    def _fail_point_exists(cls, value: str) -> str:
        if value:
            fail_points.parse(value)
        return value

    @field_validator("worker_token", "pseudonym_key")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        # Files of secrets often end with a line end.
        secret = value.get_secret_value().strip()
        if 0 < len(secret) < MIN_TOKEN_CHARACTERS:
            raise ValueError(f"has less than {MIN_TOKEN_CHARACTERS} characters, so it could be guessed")
        return SecretStr(secret)

    @field_validator("worker_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value()
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError("has characters that no HTTP header can carry; take letters and digits")
        return value

    @field_validator("worker_web_host")
    @classmethod
    def _beyond_loopback_with_a_token(cls, value: str, info: ValidationInfo) -> str:
        # A token that was refused is named by itself.
        token = info.data.get("worker_token")
        if value not in LOOPBACK_HOSTS and token is not None and not token.get_secret_value():
            raise ValueError(
                "only loopback addresses (127.0.0.1) are allowed without SIGNALFLOW_WORKER_TOKEN: a worker's web views "
                "would have no authentication"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.trending_velocity_low > self.trending_velocity_high:
            raise ValueError("trending_velocity_low must not exceed trending_velocity_high")
        return self

    @property
    def min_insync_replicas(self) -> int:
        """Replicas that must confirm a write: two of three; with fewer replicas, one."""
        return 2 if self.topic_replication >= 3 else 1


class StateDirSetting(WrittenSettings):
    """The state directory alone: `signalflow down` works even where another setting is wrong."""

    model_config = SettingsConfigDict(env_prefix="SIGNALFLOW_", extra="ignore", frozen=True)

    state_dir: Directory = Settings.model_fields["state_dir"].default


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()


_PREFIX = "SIGNALFLOW_"
# The suite's own variables: they choose servers and seeds of tests.
_OF_TESTS = "SIGNALFLOW_TEST_"


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The variables with our prefix that are no setting, each with the setting that was probably meant, or None."""
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    unknown = (name for name in sorted(environment) if name.upper().startswith(_PREFIX))
    return {
        name: next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)
        for name in unknown
        if name.upper() not in known and not name.upper().startswith(_OF_TESTS)
    }


# Settings that have no effect beside the others: their names, when that is so, and why. A combination that cannot be
# meant is refused by `Settings` instead.
_UNUSED: tuple[tuple[tuple[str, ...], Callable[[Settings], bool], str], ...] = (
    (
        ("replica_max_lag",),
        lambda settings: not settings.database_replica_url.get_secret_value(),
        "SIGNALFLOW_DATABASE_REPLICA_URL is empty",
    ),
    (
        ("smtp_port", "smtp_security", "smtp_user", "smtp_password", "smtp_from"),
        lambda settings: not settings.smtp_host,
        "SIGNALFLOW_SMTP_HOST is empty",
    ),
    (
        ("kafka_sasl_mechanism",),
        lambda settings: not settings.kafka_uses_sasl,
        "SIGNALFLOW_KAFKA_SECURITY is neither sasl_ssl nor sasl_plaintext",
    ),
    (
        ("kafka_key_password",),
        lambda settings: settings.kafka_key_file is None,
        "SIGNALFLOW_KAFKA_KEY_FILE is empty",
    ),
    (
        ("reddit_user_agent",),
        lambda settings: not settings.reddit_client_id and not settings.reddit_base_url,
        "SIGNALFLOW_REDDIT_CLIENT_ID is empty, so Reddit's API is not asked",
    ),
    (
        ("reddit_contact", "reddit_feed"),
        lambda settings: settings.reddit_source != "feeds",
        "SIGNALFLOW_REDDIT_SOURCE is not feeds",
    ),
    (
        (
            "reddit_client_id",
            "reddit_client_secret",
            "reddit_user_agent",
            "requests_per_minute",
            "listing_requests_per_minute",
            "refresh_ids_per_minute",
            "sweep_ids_per_minute",
            "sweep_comments_per_minute",
        ),
        lambda settings: settings.reddit_source == "feeds",
        "SIGNALFLOW_REDDIT_SOURCE is feeds",
    ),
    (
        (
            "listing_requests_per_minute",
            "refresh_ids_per_minute",
            "sweep_ids_per_minute",
            "sweep_comments_per_minute",
            "first_look_hours",
        ),
        lambda settings: not settings.poll_enabled,
        "SIGNALFLOW_POLL_ENABLED is off",
    ),
)


def unused_variables(environment: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The variables that are settings and have no effect beside the others, each with the reason."""
    reasons = {
        f"{_PREFIX}{field.upper()}": reason
        for fields, applies, reason in _UNUSED
        if applies(settings)
        for field in fields
    }
    given = (name for name in sorted(environment) if environment[name])
    return {name: reasons[name.upper()] for name in given if name.upper() in reasons}
