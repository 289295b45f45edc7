"""What a running stack has done so far, measured by its workers' metrics and the database."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from signalflow.errors import SignalflowError
from signalflow.local.parts import WITHOUT_CERTIFICATES

_FOUND = "signalflow_posts_discovered_total"
_REQUESTS = "signalflow_reddit_requests_last_minute"
_OUTCOMES = "signalflow_reddit_requests_total"
_LAG = "signalflow_consumer_lag"
_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class Progress:
    """One measurement of the stack. None: workers or database did not answer."""

    found: int
    """New posts published since `up` started."""
    stored: int | None
    """Posts in the database."""
    lag: int | None
    """Records on the brokers whose offsets no worker has committed yet."""
    requests: int | None
    """Requests to Reddit in the last minute."""
    trouble: str = ""
    """The outcomes of requests to Reddit, if there were some since the last measurement and none succeeded."""


def outcomes(samples: Iterable[Sample]) -> dict[str, float]:
    """The number of requests to Reddit by outcome, over all kinds but requests for tokens."""
    found: dict[str, float] = {}
    for sample in samples:
        if sample.name == _OUTCOMES and sample.labels.get("kind") != "token":
            outcome = sample.labels["outcome"]
            found[outcome] = found.get(outcome, 0.0) + sample.value
    return found


def total(samples: Iterable[Sample], name: str) -> float:
    """The sum of the samples with this name, over all their labels."""
    return sum(sample.value for sample in samples if sample.name == name)


@dataclass
class ProgressMeter:
    """Measures the progress of a stack: asks its workers for their metrics, and counts the posts in the database."""

    worker_urls: Sequence[str]
    count_posts: Callable[[], Awaitable[int]]
    _last_found: dict[str, float] = field(default_factory=dict)
    _found: float = 0.0
    _last_outcomes: dict[str, float] = field(default_factory=dict)

    async def measure(self) -> Progress:
        """The progress so far. `found` keeps growing when a worker restarts and its counter begins at 0 again."""
        pages = [page for url in self.worker_urls if (page := await self._page(url)) is not None]
        samples = [sample for page in pages for sample in page]
        try:
            stored = await self.count_posts()
        except SignalflowError:
            stored = None
        return Progress(
            found=int(self._found),
            stored=stored,
            lag=int(total(samples, _LAG)) if pages else None,
            requests=int(total(samples, _REQUESTS)) if pages else None,
            trouble=self._trouble(outcomes(samples)),
        )

    def _trouble(self, now: dict[str, float]) -> str:
        new = {outcome for outcome, count in now.items() if count > self._last_outcomes.get(outcome, 0.0)}
        self._last_outcomes = now
        return "" if "ok" in new else ", ".join(sorted(new))

    async def _page(self, url: str) -> list[Sample] | None:
        try:
            async with httpx.AsyncClient(
                timeout=_TIMEOUT_SECONDS, trust_env=False, verify=WITHOUT_CERTIFICATES
            ) as client:
                answer = (await client.get(f"{url}/metrics")).raise_for_status()
        except httpx.HTTPError:
            return None
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        self._count(url, total(samples, _FOUND))
        return samples

    def _count(self, url: str, found: float) -> None:
        last = self._last_found.get(url, 0.0)
        self._found += found - last if found >= last else found
        self._last_found[url] = found
