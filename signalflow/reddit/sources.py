"""The source of posts that the settings choose: its client, and how often it may be asked."""

from collections.abc import Callable
from datetime import datetime

from signalflow.clock import utcnow
from signalflow.domain.budget import Budget
from signalflow.proxies import proxy_with_password, why_unusable
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.feeds.client import FeedClient
from signalflow.reddit.protocol import RedditClient
from signalflow.settings import Settings


def client_of(settings: Settings, clock: Callable[[], datetime] = utcnow) -> RedditClient:
    """The client of the source. Raises Invalid when the settings lack what it needs, Fatal for an unusable proxy."""
    proxy_with_password(settings.reddit_base_url)
    return FeedClient.of(settings, clock) if settings.reddit_source == "feeds" else AsyncprawClient.of(settings, clock)


def budget_of(settings: Settings) -> Budget:
    """The budget of the source. What the settings allow is for the API; feeds say themselves what they allow."""
    return Budget(settings.request_budget, learns=settings.reddit_source == "feeds")


def why_no_source(settings: Settings) -> str | None:
    """Why there is no Reddit to poll with these settings and the proxy of the environment; None when there is one."""
    return _why_none_is_named(settings) or why_unusable(settings.reddit_base_url)


def _why_none_is_named(settings: Settings) -> str | None:
    if settings.reddit_source == "feeds" or settings.reddit_base_url:
        return None
    if settings.reddit_source == "simulator":
        return "SIGNALFLOW_REDDIT_SOURCE is simulator, but SIGNALFLOW_REDDIT_BASE_URL does not say where it is"
    if settings.reddit_client_id:
        return None
    return (
        "neither SIGNALFLOW_REDDIT_CLIENT_ID nor SIGNALFLOW_REDDIT_BASE_URL is set, and SIGNALFLOW_REDDIT_SOURCE is "
        "not feeds"
    )
