"""Asking the workers' web views, whose addresses they register in the database."""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog

from signalflow.errors import Retryable
from signalflow.storage.pool import Pool
from signalflow.storage.workers import live_workers

# Workers report every 5 s.
ALIVE_WITHIN = timedelta(seconds=20)
# One worker; a worker that does not own the post asks the one that does.
ONE_SECONDS = 2.0
ALL_SECONDS = 5.0
MOST_BYTES = 64 * 1024

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


class Workers:
    """A client of the workers' views. Close it at the end."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        # No redirects and no proxies: nobody but the registered address is asked.
        self._client = httpx.AsyncClient(
            timeout=ONE_SECONDS, follow_redirects=False, trust_env=False, transport=transport
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post_state(self, pool: Pool, post_id: str) -> bytes | None:
        """The state as JSON, None when its owner has none. Raises Retryable when no live worker can say."""
        reason = "No worker is running."
        try:
            async with asyncio.timeout(ALL_SECONDS):
                for worker in await live_workers(pool, ALIVE_WITHIN):
                    if not _is_address(worker.web_url):
                        log.warning("worker_address_refused", worker=worker.name)
                        continue
                    answer = await self._asked(worker.web_url, post_id)
                    if answer is not None and answer.status_code == 404:
                        return None
                    if answer is not None and answer.status_code == 200 and _is_state(answer.content, post_id):
                        return answer.content
                    reason = "The worker that owns this post does not answer; it may be starting, or its posts move to another."
        except TimeoutError:
            reason = "The workers do not answer in time."
        raise Retryable(reason)

    async def _asked(self, web_url: str, post_id: str) -> httpx.Response | None:
        try:
            return await self._client.get(f"{web_url.rstrip('/')}/tables/post_state/{post_id}")
        except httpx.HTTPError as error:
            log.info("worker_silent", web_url=web_url, error=type(error).__name__)
            return None


def _is_address(web_url: str) -> bool:
    """Whether it is a server's address and nothing else: no credentials, path or query that would change what is asked."""
    try:
        parts = urlsplit(web_url)
        _ = parts.port
    except ValueError:
        return False
    bare = not (parts.username or parts.password or parts.query or parts.fragment) and parts.path in ("", "/")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and bare


def _is_state(content: bytes, post_id: str) -> bool:
    if len(content) > MOST_BYTES:
        return False
    try:
        return msgspec.json.decode(content, type=_State).id == post_id
    except msgspec.DecodeError:
        return False
