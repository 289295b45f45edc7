"""The worker's own web views: liveness, readiness, metrics, and the state of a post."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from faust.web import Request, Response, Web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from signalflow.domain.standstill import advice
from signalflow.enrichment import from_microseconds
from signalflow.errors import SignalflowError
from signalflow.kafka.producer import partition_for
from signalflow.metrics import REDDIT_UNANSWERED_SINCE, REGISTRY
from signalflow.storage.pool import Pool
from signalflow.storage.schema import NotLoaded, schema_mode
from signalflow.streams.app import Application, source_topics
from signalflow.streams.state_table import StateTable
from tables.post_state import decode_state

DATABASE_SECONDS = 2.0
MOST_ID_CHARACTERS = 13


def _json(web: Web, content: object, status: int = 200) -> Response:
    return web.bytes(orjson.dumps(content), content_type="application/json", status=status)


def _problem(web: Web, kind: str, title: str, status: int) -> Response:
    """An error as problem+json (RFC 9457), in the same form as the API's."""
    problem = {"type": f"urn:signalflow:{kind}", "title": title, "status": status}
    return web.bytes(orjson.dumps(problem), content_type="application/problem+json", status=status)


async def readiness(app: Application) -> dict[str, Any]:
    """The conditions under which this worker processes records; `ready` says whether all hold."""
    recovered = bool(app.tables.actives_ready) and not app.rebalancing and not app.in_recovery
    wrong = await wrong_with_database(app.resources.pool)
    return {
        "ready": recovered and wrong is None,
        "assigned_partitions": len(assigned_partitions(app)),
        "recovered": recovered,
        "database": wrong is None,
        "what_to_do": wrong,
        # Not a condition: a worker that polls in vain processes records as well as others.
        "reddit_answers_nothing": unanswered(),
    }


def assigned_partitions(app: Application) -> list[TP]:
    """The partitions of source topics that this worker has; none before its consumer runs, which starts after this."""
    try:
        assigned = app.consumer.assignment()
    except ConsumerNotStarted:
        return []
    return [tp for tp in assigned if tp.topic in source_topics(app.settings)]


async def wrong_with_database(pool: Pool) -> str | None:
    """What is wrong with the database and what to do about it; None while the worker can use it.

    It answers in time, and its server loads TimescaleDB if the history needs it.
    """
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            await schema_mode(pool)
    except NotLoaded as error:
        return str(error)
    except (SignalflowError, TimeoutError):
        return "the database cannot be used: `signalflow doctor` says why"
    return None


def unanswered() -> dict[str, Any] | None:
    """Since when Reddit has answered none of this worker's requests, why, and what to do; None while it answers."""
    for sample in (sample for metric in REDDIT_UNANSWERED_SINCE.collect() for sample in metric.samples):
        reason, since = sample.labels["reason"], datetime.fromtimestamp(sample.value, UTC)
        return {"since": since, "reason": reason, "what_to_do": advice(reason)}
    return None


def described_state(post_id: str, value: bytes) -> dict[str, Any]:
    """A post's state as JSON: times in UTC, observations oldest first."""
    state = decode_state(value)
    return {
        "id": post_id,
        "created_utc": from_microseconds(state.created_us),
        "first_seen_at": from_microseconds(state.first_seen_us),
        "observations": [
            {"observed_at": from_microseconds(time), "score": score, "num_comments": comments}
            for time, score, comments in state.ring
        ],
    }


def register(app: Application, table: StateTable) -> None:
    """Add the views to the app."""

    @app.page("/live", name="live")
    async def live(web: Web, request: Request) -> Response:
        return _json(web, {"live": True, "worker": app.workspace.name})

    @app.page("/ready", name="ready")
    async def ready(web: Web, request: Request) -> Response:
        answer = await readiness(app)
        return _json(web, answer, status=200 if answer["ready"] else 503)

    @app.page("/metrics", name="metrics")
    async def metrics(web: Web, request: Request) -> Response:
        # A header, because aiohttp's `content_type` takes no parameters and scrapers want the version.
        return web.bytes(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.page("/tables/post_state/{post_id}", name="post_state")
    @app.table_route(table=table, match_info="post_id")
    async def post_state(web: Web, request: Request, post_id: str) -> Response:
        if not post_id.isalnum() or len(post_id) > MOST_ID_CHARACTERS:
            return _problem(web, "invalid-parameter", "post_id is not a post's id: base 36, at most 13 characters", 422)
        partition = partition_for(post_id.encode(), app.settings.topic_partitions)
        if TP(table.changelog_topic.get_topic_name(), partition) not in app.assignor.assigned_actives():
            return _problem(web, "owner-changing", "the owner of this post is changing; try again in a second", 503)
        value = table.read(partition, [post_id.encode()])[post_id.encode()]
        if value is None:
            return _problem(web, "not-found", f"no state of post {post_id}", 404)
        return _json(web, described_state(post_id, value))
