"""What to ask Reddit next, and what of the answer to publish. Pure: no I/O, the time is passed in as seconds of one steady clock.

A round: `next` names a fetch, the caller makes it; `look` says what of the answer to publish; the caller publishes and then tells `confirm`
what the brokers have confirmed, or `failed` / `refused` when there was no answer. Only confirmed posts count as known, so what was not
confirmed is published again when it is seen again. `gaps.change` names what the gap ledger must be told before anything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from signalflow.domain.gaps import GapRecord, OpenGaps
from signalflow.domain.known import (
    HORIZON,
    Decision,
    Known,
    Remembered,
    Seen,
    first_seen,
    from_database,
    is_worth_publishing,
    look,
    next_checkpoint,
    published,
    text_changed,
)
from signalflow.domain.overlap import Anchor, Gap, proves
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.takeover import Inheritance
from signalflow.domain.watchlist import Group, Subreddit, Watchlist

SWEEP_EVERY = 600.0
# When listings take the whole budget, a batch of refreshes that is this late goes before them, in seconds.
STARVED = 60.0
IDLE_STEP = 0.05


@dataclass(slots=True, eq=False)
class Fetch:
    """One request: a listing of `names` (after the fullname `after`), or the posts `ids`. `group` and `gap` are the planner's own."""

    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    after: str | None = None
    group: Group | None = None
    gap: Gap | None = None

    @property
    def kind(self) -> str:
        """`listing`, `gap` or `info`: the label of metrics and logs."""
        if self.ids:
            return "info"
        return "gap" if self.gap else "listing"


@dataclass(slots=True)
class Findings:
    """What an answer means: the items to publish, and what `confirm` needs of it."""

    fetch: Fetch
    items: Sequence[Seen]
    after: str | None
    seen_at: float
    decisions: list[Decision] = field(default_factory=list)
    is_proven: bool = True


class Planner:
    """All that is known of subreddits, posts and gaps, and the order of work that follows from it."""

    def __init__(self, *, listing_per_minute: float, refresh_ids_per_minute: float) -> None:
        self.watchlist = Watchlist(listing_per_minute)
        self.posts: dict[str, Known] = {}
        self.gaps = OpenGaps(self._subreddit_of)
        self._queue = RefreshQueue(refresh_ids_per_minute)
        self._swept_at = 0.0
        self._is_gap_turn = False

    def start(
        self, subreddits: Iterable[Subreddit], known: Iterable[Remembered], gaps: Iterable[GapRecord], now: float
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
            return Fetch(names=group.names, group=group)
        if self.watchlist.next_due() - now < spacing and not starved:
            return None
        gap = self.gaps.next(now)
        if self._queue.ready(now) and not (gap and self._is_gap_turn):
            ids = self._queue.take(self.posts, now, lambda known: known.subreddit in self.watchlist)
            if ids:
                self._is_gap_turn = True
                return Fetch(ids=tuple(ids))
        if gap is None:
            return None
        self._is_gap_turn = False
        gap.not_before = now + STARVED
        return Fetch(names=gap.subreddits, after=gap.after, gap=gap)

    def wake(self, now: float) -> float:
        """Seconds until `next` is worth asking again after it gave None."""
        return max(min(self.watchlist.next_due(), self._queue.next_at, self.gaps.wake()) - now, IDLE_STEP)

    def look(self, fetch: Fetch, items: Sequence[Seen], after: str | None, now: float) -> Findings:
        """Judge an answer: what to publish, and whether a gap opens (then `gaps.change` is to be recorded before the publishing)."""
        findings = Findings(fetch, items, after, now)
        self._decide(findings, now)
        group = fetch.group
        if group is not None and items:
            findings.is_proven = proves(group.anchors, items, is_whole=after is None)
            if not findings.is_proven and group.gap is None:
                group.gap = self.gaps.open(group.names, group.anchors, now, is_placed=False)
        return findings

    def confirm(self, findings: Findings, confirmed: Sequence[bool], now: float) -> bool:
        """What became of the decisions: `confirmed[i]` tells whether the brokers have `findings.decisions[i]`.

        Returns whether it was a look at the top of a listing with all new posts confirmed: then a successor may begin from there, once the
        ledger has the gap that the page may have opened.
        """
        fetch, items = findings.fetch, findings.items
        is_complete = True
        new = 0
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            item = items[decision.item]
            if decision.is_new:
                is_complete = is_complete and is_sent
                if is_sent:
                    new += 1
                    known = self.posts[item.id] = first_seen(item, now)
                    known.subreddit = item.subreddit.lower()
                    self._queue.put(known, now)
            elif is_sent:
                published(self.posts[item.id], item, now)
        if fetch.ids:
            self._put_back(fetch, {item.id for item in items}, now)
        elif fetch.gap:
            if is_complete:
                self.gaps.read(fetch.gap, items, findings.after, now)
            else:
                self.gaps.postpone(fetch.gap, now)
        elif fetch.group:
            self._confirm_listing(fetch.group, findings, new, now, is_complete=is_complete)
        return fetch.group is not None and is_complete and bool(items)

    def failed(self, fetch: Fetch, now: float) -> None:
        """No answer, for no fault of the names: the same again, later."""
        if fetch.ids:
            for id_ in fetch.ids:
                if id_ in self.posts:
                    self._queue.put(self.posts[id_], now)
        elif fetch.gap:
            self.gaps.postpone(fetch.gap, now)
        elif fetch.group:
            self.watchlist.failed(fetch.group, now)

    def refused(self, fetch: Fetch, now: float) -> None:
        """A listing was refused because of one of its names: find it, and go on with the rest."""
        if fetch.gap:
            self.gaps.refused(fetch.gap, now)
        elif fetch.group:
            self.watchlist.refused(fetch.group, now)
        else:
            self.failed(fetch, now)

    def _subreddit_of(self, id_: str) -> str | None:
        known = self.posts.get(id_)
        return known.subreddit if known else None

    def _decide(self, findings: Findings, now: float) -> None:
        fetch = findings.fetch
        is_info, source = bool(fetch.ids), fetch.gap or fetch.group
        # Older posts were known once and are forgotten, or are from before our time, unless they are above what was known last.
        oldest = min((now - HORIZON, *(anchor.since for anchor in source.anchors)) if source else (now,))
        decided: set[str] = set()
        for index, item in enumerate(findings.items):
            known = self.posts.get(item.id)
            if known is None:
                if item.created > oldest and not is_info and item.id not in decided:
                    decided.add(item.id)
                    findings.decisions.append(Decision(index, is_new=True, with_body=True))
                continue
            if look(known, item, now) and not is_info:
                self._queue.moved(known, now)
            if is_worth_publishing(known, item, now) and item.id not in decided:
                decided.add(item.id)
                with_body = item.state != known.state or text_changed(known, item)
                findings.decisions.append(Decision(index, is_new=False, with_body=with_body))
            elif known.text is None:
                known.text = item.text

    def _confirm_listing(self, group: Group, findings: Findings, new: int, now: float, *, is_complete: bool) -> None:
        group.count(new, now, overflowed=not findings.is_proven)
        if group.gap is not None and group not in self.watchlist.groups:
            # It was taken apart while its page was on the way.
            self.watchlist.orphans.append(group.gap)
            group.gap = None
        if not is_complete:
            # What was not confirmed may be gone from the next page: that one must prove itself against the same anchor.
            return
        self.watchlist.succeeded(group, now)
        if not findings.items:
            # Perhaps a fault of Reddit's: it replaces nothing that is known. Of a listing never seen before, it is the first look.
            group.anchors = group.anchors or (Anchor.of_page((), findings.seen_at),)
            return
        if group.gap is not None:
            if findings.is_proven:
                self.gaps.close(group.gap, "proven")
            else:
                self.gaps.place(group.gap, findings.after)
            group.gap = None
        group.anchors = (Anchor.of_page(findings.items, findings.seen_at),)

    def _put_back(self, fetch: Fetch, seen: set[str], now: float) -> None:
        for id_ in fetch.ids:
            known = self.posts.get(id_)
            if known is None:
                continue
            known.paid_looks += 1
            if id_ not in seen:
                # Reddit leaves out ids that it no longer knows: there is nothing to publish, and asking at once again would not help.
                known.looked_at = now
                known.checkpoint = next_checkpoint(known.created, now)
            self._queue.put(known, now)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_EVERY and not self.gaps:
            self._swept_at = now
            for id_ in [id_ for id_, known in self.posts.items() if now - known.created > HORIZON]:
                del self.posts[id_]
