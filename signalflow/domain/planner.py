"""What to ask Reddit next, and what of the answer to publish. Pure: no I/O, the time is passed in as seconds of one steady clock.

A round: `next` names a fetch, the caller makes it; `look` says what of the answer to publish; the caller publishes and then tells `confirm`
what the brokers have confirmed, or the fetch `failed` / `refused` when there was no answer. Only confirmed posts count as known, so what was not
confirmed is published again when it is seen again. `gaps.change` names what the gap ledger must be told before anything else.
"""

from collections.abc import Iterable, Sequence

from signalflow.domain.fetches import Fetch, Findings, GapFetch, ListingFetch, RefreshFetch
from signalflow.domain.gaps import GapRecord, OpenGaps
from signalflow.domain.known import (
    HORIZON,
    Decision,
    KnownPost,
    Seen,
    StoredPost,
    first_seen,
    from_database,
    is_worth_publishing,
    look,
    published,
    text_changed,
)
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.takeover import Inheritance
from signalflow.domain.watchlist import Subreddit, Watchlist

SWEEP_EVERY = 600.0
# When listings take the whole budget, a batch of refreshes that is this late goes before them, in seconds.
STARVED = 60.0
IDLE_STEP = 0.05


class Planner:
    """All that is known of subreddits, posts and gaps, and the order of work that follows from it."""

    def __init__(self, *, listing_per_minute: float, refresh_ids_per_minute: float) -> None:
        self.watchlist = Watchlist(listing_per_minute)
        self.posts: dict[str, KnownPost] = {}
        self.gaps = OpenGaps(self._subreddit_of)
        self._queue = RefreshQueue(refresh_ids_per_minute)
        self._swept_at = 0.0
        self._is_gap_turn = False

    def start(
        self, subreddits: Iterable[Subreddit], known: Iterable[StoredPost], gaps: Iterable[GapRecord], now: float
    ) -> None:
        """Begin, or take over from an earlier poller with what the database knows: posts, and gaps still open."""
        watched, remembered = list(subreddits), list(known)
        for post in remembered:
            # Older ones are needed after a long standstill, to tell what is new below them.
            record = self.posts[post.id] = from_database(post)
            record.subreddit = post.subreddit.lower()
            if now - post.created < HORIZON:
                self._queue.put(record, now)
        self.watchlist.configure(watched, now)
        inheritance = Inheritance(watched, remembered)
        behind = [name for group in self.watchlist.groups for name in inheritance.left_behind(group.names)]
        if behind:
            self.watchlist.set_apart({name: inheritance.anchors([name]) for name in behind}, now)
        for group in self.watchlist.groups:
            group.anchors = inheritance.anchors(group.names)
        self.gaps.resume(gaps, self.watchlist.__contains__)
        self._swept_at = now

    def configure(self, subreddits: Iterable[Subreddit], now: float) -> bool:
        """Watch these subreddits from now on; returns whether anything changed. Known posts stay known."""
        return self.watchlist.configure(subreddits, now)

    def next(self, now: float, spacing: float) -> Fetch | None:
        """The fetch to make now, or None. `spacing` is what a request costs in seconds: nothing else is begun when a listing is due within it."""
        self._sweep(now)
        while self.watchlist.orphans:
            # The group was taken apart before its page was published: the gap is read by itself, from the top.
            self.gaps.place(self.watchlist.orphans.pop(), None)
        starved = now - self._queue.next_at > STARVED and self._queue.next_at > 0
        group = self.watchlist.due(now)
        if group is not None and not starved:
            self.watchlist.started(group, now)
            return ListingFetch(group, self.watchlist, self.gaps)
        if self.watchlist.next_due() - now < spacing and not starved:
            return None
        gap = self.gaps.next(now)
        if self._queue.ready(now) and not (gap and self._is_gap_turn):
            ids = self._queue.take(self.posts, now, lambda known: known.subreddit in self.watchlist)
            if ids:
                self._is_gap_turn = True
                return self.fetch_of(ids)
        if gap is None:
            return None
        self._is_gap_turn = False
        gap.not_before = now + STARVED
        return GapFetch(gap, self.gaps)

    def fetch_of(self, ids: Iterable[str]) -> RefreshFetch:
        """A look at these posts."""
        return RefreshFetch(tuple(ids), self.posts, self._queue)

    def wake(self, now: float) -> float:
        """Seconds until `next` is worth asking again after it gave None."""
        return max(min(self.watchlist.next_due(), self._queue.next_at, self.gaps.wake()) - now, IDLE_STEP)

    def look(self, fetch: Fetch, items: Sequence[Seen], after: str | None, now: float) -> Findings:
        """Judge an answer: what to publish, and whether a gap opens (then `gaps.change` is to be recorded before the publishing)."""
        findings = Findings(fetch, items, after, now)
        self._decide(findings, now)
        findings.is_proven = fetch.judge(items, is_whole=after is None, now=now)
        return findings

    def confirm(self, findings: Findings, confirmed: Sequence[bool], now: float) -> bool:
        """What became of the decisions: `confirmed[i]` tells whether the brokers have `findings.decisions[i]`.

        Returns whether it was a look at the top of a listing with all new posts confirmed: then a successor may begin from there, once the
        ledger has the gap that the page may have opened.
        """
        is_complete = True
        new = 0
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            item = findings.items[decision.item]
            if decision.is_new:
                is_complete = is_complete and is_sent
                if is_sent:
                    new += 1
                    known = self.posts[item.id] = first_seen(item, now)
                    known.subreddit = item.subreddit.lower()
                    self._queue.put(known, now)
            elif is_sent:
                published(self.posts[item.id], item, now)
        return findings.fetch.confirm(findings, new=new, is_complete=is_complete, now=now)

    def _subreddit_of(self, id_: str) -> str | None:
        known = self.posts.get(id_)
        return known.subreddit if known else None

    def _decide(self, findings: Findings, now: float) -> None:
        fetch = findings.fetch
        new_since = fetch.new_since(now)
        decided: set[str] = set()
        for index, item in enumerate(findings.items):
            known = self.posts.get(item.id)
            if known is None:
                if item.created > new_since and item.id not in decided:
                    decided.add(item.id)
                    findings.decisions.append(Decision(index, is_new=True, with_body=True))
                continue
            if look(known, item, now) and not fetch.is_paid_look:
                self._queue.moved(known, now)
            if is_worth_publishing(known, item, now) and item.id not in decided:
                decided.add(item.id)
                with_body = item.state != known.state or text_changed(known, item)
                findings.decisions.append(Decision(index, is_new=False, with_body=with_body))
            elif known.text is None:
                known.text = item.text

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_EVERY and not self.gaps:
            self._swept_at = now
            for id_ in [id_ for id_, known in self.posts.items() if now - known.created > HORIZON]:
                del self.posts[id_]
