"""Posts that stand still at Reddit do not take off here, whatever the noise of votes makes of their scores."""

from datetime import UTC, datetime, timedelta
from typing import Any

from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher, microseconds
from signalflow.events import Enriched, Source
from signalflow.reddit.answers import Answer, page_of
from signalflow.reddit.observations import envelope
from signalflow.settings import Settings
from signalflow.simulator.config import DAY, Config, Parameters
from signalflow.simulator.world import World
from tests.contract.simulator_api import EPOCH, Client, simulated

EVERY_SECONDS = 10
MINUTES = 15
SOURCE = Source(topic="raw", partition=0, offset=0)
CONFIG = Config(parameters=Parameters(epoch=EPOCH, history=DAY, growth=12.0, life=0.0), speed=0.0)


def true_scores(moment: float) -> dict[str, int]:
    """The scores of all posts of the last day at this moment, without noise: the truth of an equal world."""
    posts = World(CONFIG.parameters).new_posts_between(EPOCH - DAY, EPOCH)
    return {post.id: post.score_at(moment) for post in posts}


async def observed(client: Client, ids: list[str], enricher: Enricher) -> list[Enriched]:
    """What the pipeline makes of these posts, which are refreshed every ten seconds for a quarter of an hour."""
    states: dict[str, PostState | None] = {}
    found: list[Enriched] = []
    at = datetime.fromtimestamp(EPOCH, UTC)
    for _ in range(MINUTES * 60 // EVERY_SECONDS):
        status, headers, body = await client.get(f"/api/info?id={','.join(f't3_{id_}' for id_ in ids)}")
        for post in page_of(body, Answer(status, headers, at)).posts:
            refresh = envelope(post, "refresh", False, at, at, "poll")
            known: Any = states.get(post.id)
            enriched, states[post.id] = enricher.enrich(refresh, SOURCE, microseconds(at), lambda known=known: known)
            found.append(enriched)
        await client.ctl(jump=float(EVERY_SECONDS))
        at += timedelta(seconds=EVERY_SECONDS)
    return found


async def test_posts_that_stand_still_never_trend_and_those_that_rise_still_do() -> None:
    before, after = true_scores(EPOCH), true_scores(EPOCH + MINUTES * 60)
    flat = sorted((id_ for id_ in before if after[id_] == before[id_]), key=lambda id_: -before[id_])[:50]
    grown = [id_ for id_ in before if after[id_] > 1.5 * before[id_] + 10]
    rising = sorted(grown, key=lambda id_: before[id_] - after[id_])[:50]
    async with simulated(CONFIG) as client:
        found = await observed(client, [*flat, *rising], Enricher(Settings()))
    of_flat = [row for row in found if row.id in flat]
    assert len(of_flat) == len(flat) * MINUTES * 60 // EVERY_SECONDS
    assert max(row.score_velocity or 0.0 for row in of_flat) > Settings().trending_velocity_high, "there is noise"
    assert {row.trend_velocity for row in of_flat} == {None, 0.0}
    assert not [row.id for row in of_flat if row.is_trending]
    assert {row.id for row in found if (row.trend_velocity or 0.0) > 0} == set(rising)
    assert any(row.is_trending for row in found)
