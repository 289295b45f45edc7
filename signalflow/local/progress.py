"""What a running stack has done so far, measured by its workers' metrics and the database."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

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


def outcomes(metrics: str) -> dict[str, float]:
    """The number of requests to Reddit by outcome, over all kinds but requests for tokens."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == _OUTCOMES and sample.labels.get("kind") != "token":
                outcome = sample.labels["outcome"]
                found[outcome] = found.get(outcome, 0.0) + sample.value
    return found


def sums(metrics: str) -> dict[str, float]:
    """The values of a metrics page by sample name, each summed over its labels."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


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
        texts = [text for url in self.worker_urls if (text := await self._text(url)) is not None]
        metrics = [sums(text) for text in texts]
        try:
            stored = await self.count_posts()
        except SignalflowError:
            stored = None
        return Progress(
            found=int(self._found),
            stored=stored,
            lag=int(sum(values.get(_LAG, 0.0) for values in metrics)) if metrics else None,
            requests=int(sum(values.get(_REQUESTS, 0.0) for values in metrics)) if metrics else None,
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
            async with httpx.AsyncClient(
                timeout=_TIMEOUT_SECONDS, trust_env=False, verify=WITHOUT_CERTIFICATES
            ) as client:
                answer = (await client.get(f"{url}/metrics")).raise_for_status()
        except httpx.HTTPError:
            return None
        self._count(url, sums(answer.text).get(_FOUND, 0.0))
        return answer.text

    def _count(self, url: str, found: float) -> None:
        last = self._last_found.get(url, 0.0)
        self._found += found - last if found >= last else found
        self._last_found[url] = found
