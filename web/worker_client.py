"""A client of the workers' web views. Workers register the addresses in the database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import msgspec
import structlog

from signalflow.errors import Retryable
from signalflow.storage.pool import Pool
from signalflow.storage.workers import WorkerRow, live_workers
from web.worker_metrics import Scrape, parsed

# How long one worker has to answer with the state of a post (it may have to ask the owner), and all in turn.
STATE_SECONDS = 2.0
ALL_STATES_SECONDS = 5.0
MOST_STATE_BYTES = 64 * 1024
METRICS_SECONDS = 1.5
MOST_METRICS_BYTES = 2_000_000
# The API's own readiness waits for this answer, so a worker that hangs may not delay it for long.
READINESS_SECONDS = 0.5

log = structlog.get_logger()


class _Observation(msgspec.Struct):
    observed_at: str
    score: int
    num_comments: int


class _State(msgspec.Struct):
    id: str
    created_utc: str
    first_seen_at: str
    observations: list[_Observation]


class Unanswered(msgspec.Struct):
    """Since when Reddit has answered no request of the worker that polls, with the reason and what to do."""

    since: datetime
    reason: str
    what_to_do: str


class _Readiness(msgspec.Struct):
    reddit_answers_nothing: Unanswered | None = None


class Scraped(NamedTuple):
    """The metrics of a worker, or why it does not answer, and the scrape before."""

    now: Scrape | str
    before: Scrape | None


class WorkerClient:
    """Asks workers for the state of a post, and for their metrics. Close it at the end.

    `token` is what their web views ask for; empty where they ask for nothing.
    """

    def __init__(self, token: str = "", transport: httpx.AsyncBaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # No redirects and no proxies: only the registered address is asked.
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, transport=transport, headers=headers)
        self._last_scrapes: dict[tuple[str, int], Scrape] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post_state(self, pool: Pool, post_id: str) -> bytes | None:
        """The state as JSON, None when the owner of the post has none.

        Raises Retryable when no live worker can tell.
        """
        reason = "No worker is running."
        try:
            async with asyncio.timeout(ALL_STATES_SECONDS):
                for worker in await live_workers(pool):
                    if not _is_address(worker.web_url):
                        log.warning("worker_address_refused", worker=worker.name)
                        continue
                    answer = await self._ask_for_state(worker.web_url, post_id)
                    if answer is not None and answer.status_code == 404:
                        return None
                    if answer is not None and answer.status_code == 200 and _is_state(answer.content, post_id):
                        return answer.content
                    reason = "The worker that owns this post does not answer; it starts, or its posts move to another."
        except TimeoutError:
            reason = "The workers do not answer in time."
        raise Retryable(reason)

    async def reddit_answers_nothing(self, workers: Sequence[WorkerRow]) -> Unanswered | None:
        """What the worker of these that polls says of its requests; None while Reddit answers or nobody can tell."""
        poller = next((worker for worker in workers if worker.is_poller and not worker.is_silent), None)
        if poller is None or not _is_address(poller.web_url):
            return None
        try:
            answer = await self._client.get(f"{poller.web_url.rstrip('/')}/ready", timeout=READINESS_SECONDS)
            return msgspec.json.decode(answer.content, type=_Readiness).reddit_answers_nothing
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError) as error:
            log.info("worker_silent", web_url=poller.web_url, error=type(error).__name__)
            return None

    async def scrape(self, workers: Sequence[WorkerRow]) -> list[Scraped]:
        """The metrics of each of these workers, all asked at once. The next call compares with this one."""
        scrapes = await asyncio.gather(*(self._scrape_one(worker) for worker in workers))
        last = self._last_scrapes
        keys = [(worker.name, worker.pid) for worker in workers]
        self._last_scrapes = {
            key: scrape for key, scrape in zip(keys, scrapes, strict=True) if isinstance(scrape, Scrape)
        }
        return [Scraped(scrape, last.get(key)) for key, scrape in zip(keys, scrapes, strict=True)]

    async def _scrape_one(self, worker: WorkerRow) -> Scrape | str:
        if worker.is_silent:
            return f"no heartbeat for {worker.heartbeat_age:.0f} s; see its log, or start it again"
        if not _is_address(worker.web_url):
            return "the address that it gave is none of a web server"
        try:
            answer = await self._client.get(f"{worker.web_url.rstrip('/')}/metrics", timeout=METRICS_SECONDS)
            answer.raise_for_status()
            if len(answer.content) > MOST_METRICS_BYTES:
                return f"its metrics are longer than {MOST_METRICS_BYTES:,} bytes, the most that is read"
            return parsed(answer.text, monotonic())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            reason = type(error).__name__
            return f"its web views do not answer ({reason}); is SIGNALFLOW_WORKER_WEB_HOST reachable from here?"

    async def _ask_for_state(self, web_url: str, post_id: str) -> httpx.Response | None:
        address = f"{web_url.rstrip('/')}/tables/post_state/{quote(post_id, safe='')}"
        try:
            return await self._client.get(address, timeout=STATE_SECONDS)
        except httpx.HTTPError as error:
            log.info("worker_silent", web_url=web_url, error=type(error).__name__)
            return None


def _is_address(web_url: str) -> bool:
    """Whether this is a plain server address: credentials, a path or a query would change the request."""
    try:
        parts = urlsplit(web_url)
        _ = parts.port
    except ValueError:
        return False
    bare = not (parts.username or parts.password or parts.query or parts.fragment) and parts.path in ("", "/")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare


def _is_state(content: bytes, post_id: str) -> bool:
    if len(content) > MOST_STATE_BYTES:
        return False
    try:
        return msgspec.json.decode(content, type=_State).id == post_id
    except msgspec.DecodeError:
        return False
