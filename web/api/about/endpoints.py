"""What this installation is, and the rule by which a post is trending."""

from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter

from signalflow.domain.trending import DISCUSSED_TENTHS, FAST_TENTHS, RISING_TENTHS, STRONG_SENTIMENT_TENTHS
from web.access import Reader
from web.api.about.schemas import About, TrendingRuleOut, TrendingWeights
from web.api.dependencies import SettingsOf
from web.problems import documented

router = APIRouter(tags=["about"])

REDDIT = "https://www.reddit.com"
WEIGHTS = TrendingWeights(
    velocity_high=FAST_TENTHS / 10,
    velocity_low=RISING_TENTHS / 10,
    sentiment=STRONG_SENTIMENT_TENTHS / 10,
    comments=DISCUSSED_TENTHS / 10,
)


@router.get(
    "/api/about/",
    summary="This installation",
    responses=documented(
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def about(settings: SettingsOf, _: Reader) -> About:
    """Version, where posts can be read, and the rule for what is trending."""
    rule = TrendingRuleOut(
        velocity_high=settings.trending_velocity_high,
        velocity_low=settings.trending_velocity_low,
        trend_window=settings.trend_window,
        sentiment=settings.trending_sentiment,
        comments=settings.trending_comments,
        threshold=settings.trending_threshold,
        weights=WEIGHTS,
    )
    # Posts of another API than Reddit's have no page on reddit.com.
    link_base = None if settings.reddit_base_url else REDDIT
    return About(
        version=version("signalflow"),
        link_base=link_base,
        live_heartbeat_seconds=settings.live_heartbeat_seconds,
        trending_rule=rule,
    )
