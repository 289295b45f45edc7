"""What a running stack has done so far, from its workers' metrics and the database."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from signalflow.errors import SignalflowError

_FOUND = "signalflow_posts_discovered_total"
_REQUESTS = "signalflow_reddit_requests_last_minute"
_OUTCOMES = "signalflow_reddit_requests_total"
_LAG = "signalflow_consumer_lag"
_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class Progress:
    """One look at the stack; None where nobody answered."""

    found: int
    """New posts published since `up` started."""
    stored: int | None
    """Posts in the database."""
    lag: int | None
    """Records on the brokers that no worker has committed yet."""
    requests: int | None
    """Requests to Reddit in the last minute."""
    trouble: str = ""
    """How Reddit answered, when no request since the look before succeeded."""


def outcomes(metrics: str) -> dict[str, float]:
    """How often requests to Reddit ended in each way, summed over their kinds; those for tokens left out."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == _OUTCOMES and sample.labels.get("kind") != "token":
                outcome = sample.labels["outcome"]
                found[outcome] = found.get(outcome, 0.0) + sample.value
    return found


def sums(metrics: str) -> dict[str, float]:
    """The values of a metrics page by sample name, summed over labels."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


@dataclass
class ProgressReader:
    """Asks the workers and the database."""

    worker_urls: Sequence[str]
    count_posts: Callable[[], Awaitable[int]]
    _last_found: dict[str, float] = field(default_factory=dict)
    _found: float = 0.0
    _last_outcomes: dict[str, float] = field(default_factory=dict)

    async def read(self) -> Progress:
        """A counter that a restarted worker begins anew does not take back what was found before."""
        texts = [text for url in self.worker_urls if (text := await self._text(url)) is not None]
        pages = [sums(text) for text in texts]
        try:
            stored = await self.count_posts()
        except SignalflowError:
            stored = None
        return Progress(
            found=int(self._found),
            stored=stored,
            lag=int(sum(page.get(_LAG, 0.0) for page in pages)) if pages else None,
            requests=int(sum(page.get(_REQUESTS, 0.0) for page in pages)) if pages else None,
            trouble=self._trouble(texts),
        )

    def _trouble(self, texts: Sequence[str]) -> str:
        now: dict[str, float] = {}
        for text in texts:
            for outcome, count in outcomes(text).items():
                now[outcome] = now.get(outcome, 0.0) + count
        new = {outcome for outcome, count in now.items() if count > self._last_outcomes.get(outcome, 0.0)}
        self._last_outcomes = now
        return "" if "ok" in new else ", ".join(sorted(new))

    async def _text(self, url: str) -> str | None:
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                answer = (await client.get(f"{url}/metrics")).raise_for_status()
        except httpx.HTTPError:
            return None
        self._count(url, sums(answer.text).get(_FOUND, 0.0))
        return answer.text

    def _count(self, url: str, found: float) -> None:
        last = self._last_found.get(url, 0.0)
        self._found += found - last if found >= last else found
        self._last_found[url] = found
