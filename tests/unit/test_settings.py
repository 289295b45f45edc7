"""Settings are refused by name when they are out of range."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from signalflow.database_settings import without_password
from signalflow.settings import Settings, StateDirSetting, unknown_variables, unused_variables


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_an_address_beyond_loopback_is_refused_by_name(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of workers, whose web views have no accounts."""
    monkeypatch.setenv("SIGNALFLOW_WORKER_WEB_HOST", address)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [problem["loc"] for problem in refused.value.errors()] == [("worker_web_host",)]


def test_a_worker_listens_beyond_loopback_with_a_token_that_nobody_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_WORKER_WEB_HOST", "10.0.0.1")
    monkeypatch.setenv("SIGNALFLOW_WORKER_TOKEN", "t" * 32)
    assert Settings().worker_web_host == "10.0.0.1"
    monkeypatch.setenv("SIGNALFLOW_WORKER_TOKEN", "t" * 32 + "\n")
    assert Settings().worker_token.get_secret_value() == "t" * 32, "as it stands in a file"


@pytest.mark.parametrize("token", ["t" * 31, "t" * 31 + " ", "ä" * 40, "t" * 20 + "\x00" + "t" * 20, "t t" * 20])
def test_a_token_that_is_short_or_fits_into_no_header_is_refused(token: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(worker_token=SecretStr(token))
    assert [problem["loc"] for problem in refused.value.errors()] == [("worker_token",)]
    assert token.strip() not in str(refused.value)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_the_api_may_listen_beyond_loopback(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has accounts: tests/integration/test_access.py shows that nothing but health answers without."""
    monkeypatch.setenv("SIGNALFLOW_API_HOST", address)
    assert Settings().api_host == address


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("KAFKA", "broker", "kafka"),
        ("KAFKA", "broker:9092,other", "kafka"),
        ("KAFKA", "http://broker:9092", "kafka"),
        ("KAFKA", "broker:99999", "kafka"),
        ("KAFKA", "broker:0", "kafka"),
        ("KAFKA", "my broker:9092", "kafka"),
        ("DATABASE_URL", "mysql://host/db", "database_url"),
        ("REQUESTS_PER_MINUTE", "96", "requests_per_minute"),
        ("REDDIT_BASE_URL", "http://127.0.0.1:9401/", "reddit_base_url"),
        ("TOPIC_PREFIX", "a b", "topic_prefix"),
        ("SIGNALS_GATHER_SECONDS", "-1", "signals_gather_seconds"),
        ("SIGNAL_RETENTION_DAYS", "0", "signal_retention_days"),
        ("TOPIC_RETENTION_DAYS", "7", "topic_retention_days"),
        ("DEAD_LETTER_RETENTION_DAYS", "0", "dead_letter_retention_days"),
        ("RUN_RETENTION_DAYS", "0", "run_retention_days"),
        ("DISCOVER_WATCH", "51", "discover_watch"),
        ("TREND_WINDOW", "9", "trend_window"),
        ("REDDIT_SOURCE", "rss", "reddit_source"),
        ("REDDIT_CONTACT", "you@example.org\nCookie: a", "reddit_contact"),
        ("REDDIT_FEED", "https://www.reddit.com/.rss", "reddit_feed"),
        ("ALERT_NETWORKS", "10.0.0.0/8,example.org", "alert_networks"),
        ("SMTP_FROM", "Flow <flow@example.org>", "smtp_from"),
        ("SMTP_SECURITY", "ssl", "smtp_security"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    name: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SIGNALFLOW_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [problem["loc"] for problem in refused.value.errors()] == [(named,)]


@pytest.mark.parametrize("name", ["KAFKA", "DATABASE_URL", "API_PORT", "STATE_DIR", "LOG_JSON", "APP_ID"])
def test_an_empty_variable_is_refused_where_nothing_is_no_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SIGNALFLOW_{name}", "")
    with pytest.raises(ValidationError, match="is empty: give a value, or unset it for the default") as refused:
        Settings()
    assert [problem["loc"] for problem in refused.value.errors()] == [(name.lower(),)]


@pytest.mark.parametrize("name", ["REDDIT_CLIENT_ID", "REDIS_URL", "TOPIC_PREFIX", "KAFKA_KEY_FILE"])
def test_an_empty_variable_is_taken_where_nothing_is_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = Settings()
    monkeypatch.setenv(f"SIGNALFLOW_{name}", "")
    assert Settings() == default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA", "broker:9092"),
        ("API_PORT", "9000"),
        ("STATE_DIR", "/tmp/state"),
        ("DATABASE_URL", "postgresql://someone:hush-hush@db/posts"),
        ("LOG_LEVEL", "INFO"),
        ("API_SECRET", "hush-hush"),
    ],
)
def test_a_value_with_the_line_end_of_windows_is_refused_with_the_remedy(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SIGNALFLOW_{name}", f"{value}\r")
    with pytest.raises(ValidationError, match="save the file that sets it with Unix line ends") as refused:
        Settings()
    assert [problem["loc"] for problem in refused.value.errors()] == [(name.lower(),)]
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize(("value", "told"), [("", "is empty"), ("/tmp/state\r", "Unix line ends")])
def test_the_state_directory_alone_is_refused_alike(value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_STATE_DIR", value)
    with pytest.raises(ValidationError, match=told):
        StateDirSetting()


def test_credentials_are_set_together_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CLIENT_SECRET", "hush-hush")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "must be set together" in str(refused.value)
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CLIENT_ID", "some-id")
    assert "hush-hush" not in repr(Settings())


@pytest.mark.parametrize(
    ("source", "named"), [("feeds", "SIGNALFLOW_REDDIT_CONTACT"), ("api", "SIGNALFLOW_REDDIT_CLIENT_ID")]
)
def test_a_source_without_what_it_needs_is_refused_with_the_remedy(
    source: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNALFLOW_REDDIT_SOURCE", source)
    with pytest.raises(ValidationError, match=rf"needs {named}.*: set"):
        Settings()


def test_the_secret_of_a_personal_feed_is_shown_neither_in_settings_nor_in_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGNALFLOW_REDDIT_FEED", "https://www.reddit.com/.rss?feed=hushhush&user=ada")
    settings = Settings(reddit_source="feeds", reddit_contact="you@example.org")
    assert settings.personal_feed is not None
    assert settings.personal_feed.params() == {"feed": "hushhush", "user": "ada"}
    assert "hushhush" not in f"{settings!r} {settings.personal_feed!r} {settings.model_dump_json()}"
    monkeypatch.setenv("SIGNALFLOW_REDDIT_FEED", "https://www.reddit.com/.rss?feed=hushhush")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "?feed=SECRET&user=NAME" in str(refused.value)
    assert "hushhush" not in str(refused.value)


def test_feeds_name_the_settings_of_the_api_as_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_REDDIT_SOURCE", "feeds")
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CONTACT", "you@example.org")
    given = {"SIGNALFLOW_REQUESTS_PER_MINUTE": "9", "SIGNALFLOW_REDDIT_CONTACT": "you@example.org"}
    assert unused_variables(given, Settings()).keys() == {"SIGNALFLOW_REQUESTS_PER_MINUTE"}


USER = {"KAFKA_USER": "someone", "KAFKA_PASSWORD": "hush-hush"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"KAFKA_SECURITY": "sasl_ssl"}, "set SIGNALFLOW_KAFKA_USER and SIGNALFLOW_KAFKA_PASSWORD"),
        ({"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USER": "someone"}, "SIGNALFLOW_KAFKA_PASSWORD"),
        (USER, "SIGNALFLOW_KAFKA_SECURITY=plaintext sends no user and password: set it to sasl_ssl"),
        ({"KAFKA_SECURITY": "ssl"} | USER, "SIGNALFLOW_KAFKA_SECURITY=ssl sends no user"),
        ({"KAFKA_CA_FILE": __file__}, "SIGNALFLOW_KAFKA_SECURITY=plaintext uses no certificates: set it to ssl"),
        ({"KAFKA_SECURITY": "ssl", "KAFKA_CERT_FILE": __file__}, "SIGNALFLOW_KAFKA_KEY_FILE must be set together"),
        ({"KAFKA_SECURITY": "ssl", "KAFKA_CA_FILE": "/nowhere.pem"}, "kafka_ca_file"),
        ({"KAFKA_SECURITY": "tls"}, "kafka_security"),
        ({"KAFKA_SECURITY": "sasl_ssl", "KAFKA_SASL_MECHANISM": "GSSAPI"} | USER, "kafka_sasl_mechanism"),
    ],
)
def test_kafka_settings_that_do_not_fit_each_other_are_refused_with_the_remedy(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"SIGNALFLOW_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert named in str(refused.value)
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SMTP_HOST": "mail.example"}, "needs SIGNALFLOW_SMTP_FROM: set the address"),
        ({"SMTP_USER": "someone"}, "SIGNALFLOW_SMTP_PASSWORD must be set together"),
        ({"SMTP_PASSWORD": "hush-hush"}, "SIGNALFLOW_SMTP_PASSWORD must be set together"),
        (
            {
                "SMTP_HOST": "mail.example", "SMTP_FROM": "a@b.example", "SMTP_USER": "someone",
                "SMTP_PASSWORD": "hush-hush", "SMTP_SECURITY": "none",
            },
            "would send the password readable: set starttls or tls",
        ),
    ],
)  # fmt: skip
def test_mail_settings_that_do_not_fit_each_other_are_refused_with_the_remedy(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"SIGNALFLOW_{name}", value)
    with pytest.raises(ValidationError, match=named) as refused:
        Settings()
    assert "hush-hush" not in str(refused.value)


def test_an_empty_file_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_KAFKA_CA_FILE", "")
    assert Settings().kafka_ca_file is None


def test_a_certificate_of_the_database_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://someone:hush-hush@127.0.0.1/db?sslmode=verify-full&sslrootcert=/nowhere.pem"
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", url)
    with pytest.raises(ValidationError, match=r"sslrootcert=/nowhere\.pem cannot be read") as refused:
        Settings()
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SIGNALFLOW_KAFKA_SECURTY", "SIGNALFLOW_KAFKA_SECURITY"),
        ("SIGNALFLOW_DATABSE_URL", "SIGNALFLOW_DATABASE_URL"),
        ("signalflow_log_levl", "SIGNALFLOW_LOG_LEVEL"),
        ("SIGNALFLOW_COLOUR", None),
    ],
)
def test_a_variable_that_is_no_setting_is_named_with_what_was_meant(name: str, meant: str | None) -> None:
    given = {"SIGNALFLOW_KAFKA": "b:1", "signalflow_app_id": "x", "SIGNALFLOW_TEST_SEED": "1", "PATH": "", name: "v"}
    assert unknown_variables(given) == {name: meant}


@pytest.mark.parametrize(
    ("name", "value", "used_with"),
    [
        ("REPLICA_MAX_LAG", "9", {"DATABASE_REPLICA_URL": "postgresql://u@replica/db"}),
        (
            "KAFKA_SASL_MECHANISM",
            "PLAIN",
            {"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USER": "u", "KAFKA_PASSWORD": "p"},
        ),
        (
            "KAFKA_KEY_PASSWORD",
            "p",
            {"KAFKA_SECURITY": "ssl", "KAFKA_CERT_FILE": __file__, "KAFKA_KEY_FILE": __file__},
        ),
        ("REDDIT_USER_AGENT", "linux:a:1 (by /u/b)", {"REDDIT_CLIENT_ID": "i", "REDDIT_CLIENT_SECRET": "s"}),
        ("REDDIT_USER_AGENT", "linux:a:1 (by /u/b)", {"REDDIT_BASE_URL": "http://127.0.0.1:9401"}),
        ("REDDIT_CONTACT", "you@example.org", {"REDDIT_SOURCE": "feeds"}),
        ("REDDIT_FEED", "feed=a&user=b", {"REDDIT_SOURCE": "feeds", "REDDIT_CONTACT": "you@example.org"}),
        ("REFRESH_IDS_PER_MINUTE", "9", {"POLL_ENABLED": "true"}),
        ("SWEEP_IDS_PER_MINUTE", "9", {"POLL_ENABLED": "true"}),
        ("SMTP_PORT", "25", {"SMTP_HOST": "mail.example", "SMTP_FROM": "a@b.example"}),
    ],
)
def test_a_setting_without_effect_beside_the_others_is_named(
    name: str, value: str, used_with: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {f"SIGNALFLOW_{name}": value}
    monkeypatch.setenv("SIGNALFLOW_POLL_ENABLED", "false")
    monkeypatch.setenv(f"SIGNALFLOW_{name}", value)
    assert unused_variables(given, Settings()).keys() == given.keys()
    for other, needed in used_with.items():
        monkeypatch.setenv(f"SIGNALFLOW_{other}", needed)
    assert unused_variables(given, Settings()) == {}


def test_settings_that_are_used_or_empty_are_not_named_as_unused() -> None:
    given = {"SIGNALFLOW_REQUESTS_PER_MINUTE": "9", "SIGNALFLOW_KAFKA": "b:1", "SIGNALFLOW_REPLICA_MAX_LAG": ""}
    assert unused_variables(given, Settings()) == {}


@pytest.mark.parametrize("password", ["p@ss", "p#ss", "p/ss", "p?ss", "p[ss", "12/ss", "12?ss", "12#ss"])
def test_a_password_that_is_not_encoded_is_refused_with_how_to_write_it_and_not_shown(password: str) -> None:
    with pytest.raises(ValidationError, match="write @ as %40, / as %2F, # as %23") as refused:
        Settings(database_url=f"postgresql://someone:{password}@db:5432/posts")
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:p%40%23%2Fss@db:5432/posts", "postgres://db/posts", "postgresql://me@[::1]/posts",
        "postgresql:///posts?host=/var/run/postgresql", "postgresql://me@/posts?host=/var/run/postgresql",
        "postgresql:///posts", "postgresql://one:5432,two:5433/posts", "postgresql://me:100%@db/posts?sslmode=require",
        "postgresql://me:x@db/posts?application_name=me@here",
    ],
)  # fmt: skip
def test_a_url_that_the_client_understands_is_taken(url: str) -> None:
    assert Settings(database_url=url).database_url.get_secret_value() == url
    assert Settings(database_url=f" {url}\n").database_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+asyncpg://me:hush@db/posts", "must begin with postgresql://"),
        ("jdbc:postgresql://db/posts?password=hush", "must begin with postgresql://"),
        ("host=db dbname=posts password=hush", "must begin with postgresql://"),
        ("'postgresql://me:hush@db/posts'", "must begin with postgresql://"),
        ("postgresql://me:hush@db/posts?sslmode=on", "unknown sslmode: it is one of disable, allow"),
        (
            "postgresql://me:hush@db/posts?sslmode=require&channel_binding=require",
            "has channel_binding, which only other clients of PostgreSQL know: leave it out",
        ),
        ("postgresql://me:hush@db/posts?pgbouncer=true&connection_limit=1", "has connection_limit, pgbouncer, which"),
        ("postgresql://me:hush@db:99999/posts", "no valid URL"),
    ],
)
def test_a_url_that_the_client_would_fail_on_is_refused_at_once_with_the_remedy(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        Settings(database_url=url)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hush@db:5432/posts", "postgresql://me:***@db:5432/posts"),
        ("postgresql://me@db/posts?sslmode=require", "postgresql://me@db/posts?sslmode=require"),
        ("postgresql://db/posts?user=me&password=hush", "postgresql://db/posts?user=me&password=***"),
        ("postgresql://me:hush@a:1,b:2/posts", "postgresql://me:***@a:1,b:2/posts"),
        ("postgresql:///posts?host=/run/pg&sslpassword=hush", "postgresql:///posts?host=/run/pg&sslpassword=***"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_state_directory_may_begin_with_the_sign_of_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shells put the home in its place, but files of settings and units do not."""
    monkeypatch.setenv("HOME", "/home/mira")
    monkeypatch.setenv("SIGNALFLOW_STATE_DIR", "~/signalflow")
    assert Settings().state_dir == StateDirSetting().state_dir == Path("/home/mira/signalflow")


def test_a_collector_without_a_scheme_is_refused_with_an_example() -> None:
    with pytest.raises(ValidationError, match=r"otlp_endpoint\n.*must be a URL such as http://127\.0\.0\.1:4318"):
        Settings(otlp_endpoint="collector:4318")
