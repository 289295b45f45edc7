"""Settings are refused by name when they are out of range."""

import pytest
from pydantic import ValidationError

from signalflow.settings import Settings


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_an_address_beyond_loopback_is_refused_by_name(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of workers, whose web views have no accounts."""
    monkeypatch.setenv("SIGNALFLOW_WORKER_WEB_HOST", address)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [problem["loc"] for problem in refused.value.errors()] == [("worker_web_host",)]


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
        ("DATABASE_URL", "mysql://host/db", "database_url"),
        ("REQUESTS_PER_MINUTE", "96", "requests_per_minute"),
        ("REDDIT_BASE_URL", "http://127.0.0.1:9401/", "reddit_base_url"),
        ("TOPIC_PREFIX", "a b", "topic_prefix"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    name: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SIGNALFLOW_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert [problem["loc"] for problem in refused.value.errors()] == [(named,)]


def test_credentials_are_set_together_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CLIENT_SECRET", "hush-hush")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "must be set together" in str(refused.value)
    monkeypatch.setenv("SIGNALFLOW_REDDIT_CLIENT_ID", "some-id")
    assert "hush-hush" not in repr(Settings())
