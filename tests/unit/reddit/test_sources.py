"""Which Reddit is polled, and how often, as the settings say."""

from typing import Any

import pytest

from signalflow.errors import Invalid
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.feeds.client import FeedClient
from signalflow.reddit.sources import budget_of, client_of, why_no_source
from signalflow.settings import Settings

URL = "http://127.0.0.1:9401"
KEYS = {"reddit_client_id": "id", "reddit_client_secret": "secret"}
CONTACT = {"reddit_source": "feeds", "reddit_contact": "you@example.org"}
FEED = {"reddit_feed": "feed=abc&user=ada"}


@pytest.mark.parametrize(
    ("given", "source"),
    [
        (KEYS, AsyncprawClient),
        ({"reddit_base_url": URL}, AsyncprawClient),
        (KEYS | {"reddit_source": "api"}, AsyncprawClient),
        ({"reddit_base_url": URL, "reddit_source": "simulator"}, AsyncprawClient),
        (CONTACT, FeedClient),
        (CONTACT | KEYS, FeedClient),
        (CONTACT | {"reddit_base_url": URL}, FeedClient),
    ],
)
async def test_the_settings_choose_the_client(given: dict[str, Any], source: type) -> None:
    settings = Settings(**given)
    assert why_no_source(settings) is None
    client = client_of(settings)
    assert isinstance(client, source)
    await client.close()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "SIGNALFLOW_REDDIT_CLIENT_ID"),
        ({"reddit_source": "simulator"}, "SIGNALFLOW_REDDIT_BASE_URL"),
        (KEYS | {"reddit_source": "simulator"}, "SIGNALFLOW_REDDIT_BASE_URL"),
    ],
)
def test_without_a_reddit_nothing_is_polled_and_the_setting_is_named(given: dict[str, Any], named: str) -> None:
    settings = Settings(**given)
    assert named in str(why_no_source(settings))
    with pytest.raises(Invalid):
        client_of(settings)


@pytest.mark.parametrize("given", [KEYS, CONTACT])
def test_a_proxy_that_cannot_be_used_keeps_a_worker_from_polling_and_is_named(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:hush@proxy.example:1080")
    assert "socks5://proxy.example:1080 cannot be used" in str(why_no_source(Settings(**given)))
    assert why_no_source(Settings(reddit_base_url=URL)) is None


async def test_a_simulator_is_not_shown_reddits_credentials() -> None:
    client = client_of(Settings(**KEYS, reddit_source="simulator", reddit_base_url=URL))
    assert isinstance(client, AsyncprawClient)
    assert client.hosts == (URL, URL)
    assert client._reddit.config.client_id == "simulator"
    await client.close()


@pytest.mark.parametrize(
    ("given", "per_minute"),
    [
        (KEYS, 60),
        (KEYS | {"requests_per_minute": 30}, 30),
        (CONTACT, 1),
        (CONTACT | FEED, 10),
        (CONTACT | {"requests_per_minute": 95}, 1),
    ],
)
def test_the_budget_of_the_api_does_not_apply_to_feeds(given: dict[str, Any], per_minute: float) -> None:
    assert budget_of(Settings(**given)).per_minute == pytest.approx(per_minute)


async def test_feeds_can_do_more_with_a_personal_feed() -> None:
    plain, personal = client_of(Settings(**CONTACT)), client_of(Settings(**CONTACT, **FEED))
    assert (plain.capabilities.per_minute, personal.capabilities.per_minute) == (1, 10)
    assert not plain.capabilities.answers_ids
    assert client_of(Settings(**KEYS)).capabilities.per_minute is None
