"""Decides what to ask Reddit next, and what of the answer to publish.

Pure: no I/O, and the caller passes the time in, in seconds of one steady clock. One round goes like this:

1. `next` returns a fetch, and the caller makes the request.
2. `judge` decides what of the answer to publish. If there was no answer, or `counts_as_none`, the caller calls the
   fetch's `failed`, `unanswered`, `showed_nothing` or `refused` instead, and the round ends.
3. If `gaps.change` is not None, the caller records it in the gap ledger before it publishes.
4. The caller publishes, and passes what the brokers confirmed to `confirm`. Only confirmed posts count as known, so an
   unconfirmed one is published again when it is seen again.
"""

import math
from collections.abc import Collection, Iterable, Sequence

from signalflow.domain.deep_looks import DeepLooks
from signalflow.domain.fetch import Fetch, Findings
from signalflow.domain.fetches import (
    GAP_PAGE_TIMEOUT,
    GapFetch,
    ListingFetch,
    ProbeFetch,
    ReappearanceFetch,
    RefreshFetch,
    SilenceFetch,
)
from signalflow.domain.first_look import FirstLooks
from signalflow.domain.gaps import GapRecord, OpenGaps
from signalflow.domain.groups import Group
from signalflow.domain.known import (
    HORIZON,
    MOST_ABSENCES,
    Decision,
    KnownPost,
    Seen,
    StoredPost,
    first_seen,
    from_database,
    may_publish,
    must_publish,
    note_observation,
    note_published,
    state_changed,
    text_changed,
)
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.ranked_fetches import RankedFetch, fetch_of
from signalflow.domain.ranked_listings import RankedListings
from signalflow.domain.reappearance import Reappearances
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.silence import Silences
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.takeover import Takeover
from signalflow.domain.watchlist import Watchlist

# Old posts are forgotten this often, in seconds.
SWEEP_EVERY = 600.0
# When listings take the whole budget, a batch of refreshes that is late by this many seconds goes before them.
REFRESH_PATIENCE = 60.0
# A post that a listing showed within so many seconds is remembered, however old it is.
SHOWN_LATELY = 7200.0
# The id in a request that is made only to learn whether Reddit answers, or its time. There need be no such post.
ANY_ID = "1"
# When a request takes so many seconds of the budget, listings leave no time for other fetches. Then these get single
# turns of a listing: the page of a gap every second one, a silent subreddit every tenth, a listing by rank every 15th.
SCARCE_SPACING = 30.0
TURNS_BETWEEN_SILENCES = 10
TURNS_BETWEEN_RANKS = 15
# So many new posts may be expected on the next page of the listing. If a page overflows all the same (with a mean of
# 70, one in 1,000), the gap that it leaves is read like others.
MAX_EXPECTED_AFTER_A_TURN = 70.0
# What listings take of a source that has nothing else to ask for but gaps and silent subreddits. Where few requests
# are allowed, one a minute at least: single turns are enough for the others.
LISTING_SHARE = 0.4
# Shortest wait between two calls of `next`, in seconds.
IDLE_STEP = 0.05


def listing_share(per_minute: float) -> float:
    """How many of `per_minute` requests are for listings, where posts are not refreshed by id."""
    return max(per_minute * LISTING_SHARE, min(per_minute, 1.0))


class Planner:
    """What is known about subreddits, posts and gaps, and the order of fetches that follows from it.

    `answers_ids`: Reddit can be asked for posts by id. If not, posts are not refreshed, and a subreddit that listings
    show again is not read by itself. `discover_every`: seconds between two looks at r/popular; 0: none.
    `lists_subreddits`: Reddit can be asked for its list of popular subreddits. `first_look_seconds`: how far a
    subreddit that was never polled is read back.
    """

    def __init__(
        self,
        *,
        listing_per_minute: float,
        refresh_ids_per_minute: float,
        answers_ids: bool = True,
        discover_every: float = 0.0,
        lists_subreddits: bool = False,
        first_look_seconds: float = 0.0,
    ) -> None:
        self._answers_ids = answers_ids
        self._answers = LastAnswers()
        self.watchlist = Watchlist(listing_per_minute, self._answers)
        self.posts: dict[str, KnownPost] = {}
        self.gaps = OpenGaps(self._subreddit_of)
        self.first_looks = FirstLooks(first_look_seconds, self._subreddit_of, self._answers)
        self._deep_looks = DeepLooks()
        self._reappearances = Reappearances()
        self._silences = Silences()
        self.ranked = RankedListings(discover_every, lists_subreddits=lists_subreddits)
        self._queue = RefreshQueue(refresh_ids_per_minute if answers_ids else 0.0, self._answers)
        self._swept_at = 0.0
        self._probed_at = -math.inf
        self._is_gap_turn = self._is_first_look_turn = False
        self._gave_gap_turn_at = self._gave_silence_turn_at = self._gave_rank_turn_at = -math.inf

    def start(
        self,
        subreddits: Iterable[Subreddit],
        known: Iterable[StoredPost],
        gaps: Iterable[GapRecord],
        now: float,
        first_looks: Iterable[GapRecord] = (),
    ) -> None:
        """Begin, or take over from an earlier poller, with the posts that the database knows and the open gaps."""
        self.configure(subreddits, now, known)
        self.gaps.resume(gaps, self.watchlist.__contains__)
        self.first_looks.resume(first_looks, self.watchlist.__contains__)
        self._swept_at = now

    def set_listing_pace(self, per_minute: float, now: float) -> None:
        """So many listings a minute are allowed from now on."""
        self.watchlist.set_pace(per_minute, now)

    def arriving(self, subreddits: Iterable[Subreddit]) -> list[Subreddit]:
        """Those that are not watched yet: added, or resumed after a pause."""
        return [subreddit for subreddit in subreddits if subreddit.name.lower() not in self.watchlist]

    def configure(self, subreddits: Iterable[Subreddit], now: float, known: Iterable[StoredPost] = ()) -> bool:
        """Watch exactly these subreddits from now on; returns whether anything changed. Known posts stay known.

        `known`: the posts of arriving subreddits that the database knows. Each of them is taken over: its first page
        must reach back to its last poll, however long ago that was.
        """
        watched, known_posts = list(subreddits), list(known)
        arriving = self.arriving(watched)
        self._remember(known_posts, now)
        have_ranks_changed = self.ranked.configure(watched, now)
        if not self.watchlist.configure(watched, now):
            return have_ranks_changed
        self.first_looks.arrive(arriving)
        self._deep_looks.arrive(arriving)
        Takeover(arriving, known_posts).begin(self.watchlist, now)
        return True

    def _remember(self, known_posts: Iterable[StoredPost], now: float) -> None:
        for post in known_posts:
            if post.id in self.posts:
                continue
            # Posts older than the horizon are needed after a long standstill, to tell which posts are new.
            record = self.posts[post.id] = from_database(post)
            record.subreddit = post.subreddit.lower()
            self._reappearances.note(record.subreddit, post.created, post.id)
            if now - post.created < HORIZON:
                self._queue.put(record, now)

    def next(self, now: float, spacing: float) -> Fetch | None:
        """The fetch to make now, or None.

        `spacing` is the time in seconds that a request takes from the budget. When a listing is due within that time,
        no other fetch is made, so that the listing is not late.
        """
        fetch = self._next(now, spacing)
        if fetch is not None and not isinstance(fetch, RankedFetch):
            self.ranked.note_other()
        return fetch

    def _next(self, now: float, spacing: float) -> Fetch | None:
        self._sweep(now)
        while self.watchlist.detached_gaps:
            # The group was dissolved before its page was published in full: read the gap from the top of the listing.
            self.gaps.set_upper_end(self.watchlist.detached_gaps.pop(), None)
        if self.watchlist.in_doubt_since() > self._probed_at:
            # Every group may have a subreddit that breaks its listing. Then nothing else shows that Reddit answers.
            self._probed_at = now
            return self.probe()
        is_refresh_overdue = now - self._queue.next_at > REFRESH_PATIENCE and self._queue.next_at > 0
        group = self.watchlist.due(now)
        if group is not None and not is_refresh_overdue:
            if spacing >= SCARCE_SPACING and (other := self._instead_of(group, now, spacing)) is not None:
                return other
            self.watchlist.started(group, now)
            return ListingFetch(group, self.watchlist, self.gaps)
        if self.watchlist.next_due() - now < spacing and not is_refresh_overdue:
            return None
        if self.ranked.is_its_turn and not is_refresh_overdue and (ranked := self._ranked_fetch(now)) is not None:
            return ranked
        gap = self.gaps.next(now)
        reappeared = self._reappeared()
        if self._queue.ready(now) and not ((gap or reappeared) and self._is_gap_turn):
            ids = self._queue.take(self.posts, now, lambda known: known.subreddit in self.watchlist)
            if ids:
                self._is_gap_turn = True
                if reappeared:
                    self._reappearances.put_back(*reappeared)
                return self.fetch_of(ids)
        if reappeared:
            self._is_gap_turn = False
            return ReappearanceFetch(*reappeared, self._reappearances, self.gaps)
        if gap is None:
            return self._spare_fetch(now)
        self._is_gap_turn = False
        return self._gap_fetch(gap, now)

    def has_room(self, now: float, spacing: float) -> bool:
        """Whether another request, which takes `spacing` seconds of the budget, delays no listing."""
        return self.watchlist.next_due() - now >= spacing

    @property
    def answers(self) -> LastAnswers:
        """When Reddit last answered which kind of request."""
        return self._answers

    @property
    def subreddits_set_aside(self) -> frozenset[str]:
        """The subreddits that Reddit refuses, or does not answer for, though it answers others."""
        return self.watchlist.set_aside | self._silences.refused_names

    @property
    def posts_set_aside(self) -> frozenset[str]:
        """The posts whose requests Reddit does not answer, though it answers others. Listings may still show them."""
        return self._queue.set_aside

    @property
    def not_shown(self) -> dict[str, float]:
        """The known posts that Reddit no longer shows, with the time of the first answer that left them out."""
        # Some ten thousand posts are known, and nearly all of them are shown: only a comparison for each.
        return {id_: known.absent_since for id_, known in self.posts.items() if known.absences >= MOST_ABSENCES}

    def fetch_of(self, ids: Iterable[str]) -> RefreshFetch:
        """The fetch that observes these posts, by id."""
        return RefreshFetch(tuple(ids), self.posts, self._queue)

    def probe(self) -> Fetch:
        """A fetch that is made only to learn whether Reddit answers, or its time."""
        return self.fetch_of([ANY_ID]) if self._answers_ids else ProbeFetch()

    def wake(self, now: float) -> float:
        """Seconds until `next` should be called again after it returned None."""
        reappeared = now if self._reappearances else math.inf
        turns = (self.watchlist.next_due(), self._queue.wake_at(), self.gaps.wake(), reappeared)
        looks = (self.first_looks.gaps.wake(), self._deep_looks.next_due())
        others = (self._silences.next_due(), self.ranked.next_due())
        return max(min(*turns, *looks, *others) - now, IDLE_STEP)

    def counts_as_none(self, fetch: Fetch, *, shows_posts: bool) -> bool:
        """Whether the fetch has no answer although Reddit answered 200: it shows no post, and known ones are missing.

        Then the caller calls the fetch's `showed_nothing`, and the round ends.
        """
        return not shows_posts and fetch.doubts_nothing(self.posts)

    def judge(
        self,
        fetch: Fetch,
        items: Sequence[Seen],
        after: str | None,
        now: float,
        rejected: Collection[str | int] = (),
    ) -> Findings:
        """Decide what of an answer to publish, and open a gap if posts may be missing.

        `rejected` are the keys of items that could not be read: the answer showed them nevertheless.
        Then `gaps.change` must be recorded before the posts are published.
        """
        self._answers.note(fetch.request_kind, now, shows_posts=bool(items))
        findings = Findings(fetch, items, after, now, frozenset(rejected))
        self._decide(findings, now)
        findings.is_proven = fetch.check_overlap(items, is_whole=after is None, now=now)
        return findings

    def confirm(self, findings: Findings, confirmed: Sequence[bool], now: float) -> bool:
        """Record what was published: `confirmed[i]` tells whether the brokers have `findings.decisions[i]`.

        Returns whether the answer was the newest page of a listing and all its new posts were confirmed. Then a
        successor may begin from there, once the ledger has the gap that the page may have opened.
        """
        findings.confirmed = confirmed
        is_complete = True
        new = 0
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            item = findings.items[decision.item]
            if is_sent and (place := findings.place(decision.item)):
                findings.fetch.note_told(item.id, place, now)
            if decision.is_new:
                is_complete = is_complete and is_sent
                if is_sent:
                    new += 1
                    known = self.posts[item.id] = first_seen(item, now)
                    known.subreddit = item.subreddit.lower()
                    if now - item.created < HORIZON:
                        self._queue.put(known, now)
            elif is_sent:
                note_published(self.posts[item.id], item, now)
        self._note_appearances(findings, confirmed)
        shows_top = findings.fetch.confirm(findings, new=new, is_complete=is_complete, now=now)
        if shows_top:
            self.first_looks.polled(findings.fetch.names, findings.items, findings.seen_at)
            self._deep_looks.polled(findings.fetch.names, findings.after, new, now)
        return shows_top

    def _reappeared(self) -> tuple[str, Anchor] | None:
        while (taken := self._reappearances.take()) and taken[0] not in self.watchlist:
            pass
        return taken

    def _instead_of(self, group: Group, now: float, spacing: float) -> Fetch | None:
        """What may take this turn of the group, if its next page will probably reach back to the last one even so."""
        if group.latest_rate * (now + spacing - group.polled_at) > MAX_EXPECTED_AFTER_A_TURN:
            return None
        gap = self.gaps.next(now)
        if gap is not None and group.polled_at > self._gave_gap_turn_at:
            self._gave_gap_turn_at = now
            return self._gap_fetch(gap, now)
        if now - self._gave_silence_turn_at >= TURNS_BETWEEN_SILENCES * spacing:
            silence = self._silence_fetch(now)
            if silence is not None:
                self._gave_silence_turn_at = now
                return silence
        if now - self._gave_rank_turn_at < TURNS_BETWEEN_RANKS * spacing:
            return None
        # A turn is too much for subreddits that nobody asked for.
        ranked = self._ranked_fetch(now, with_popular=False)
        if ranked is not None:
            self._gave_rank_turn_at = now
        return ranked

    def _gap_fetch(self, gap: Gap, now: float) -> GapFetch:
        gap.not_before = now + GAP_PAGE_TIMEOUT
        return GapFetch(gap, self.gaps, self._answers)

    def _spare_fetch(self, now: float) -> Fetch | None:
        """A silent subreddit and a first look take turns. With few requests one would starve the other.

        What was shown late comes last: nobody waits for it.
        """
        if self._is_first_look_turn and (look := self.first_looks.next(now, self.watchlist.__contains__)) is not None:
            self._is_first_look_turn = False
            return look
        silence = self._silence_fetch(now)
        self._is_first_look_turn = silence is not None
        return (
            silence
            or self._ranked_fetch(now)
            or self.first_looks.next(now, self.watchlist.__contains__)
            or self._deep_looks.next(now, lambda: [group.names for group in self.watchlist.groups])
        )

    def _silence_fetch(self, now: float) -> SilenceFetch | None:
        empty_listings = self.watchlist.empty_listings
        # The listing of its group tells more of a subreddit on trial.
        set_aside = self.watchlist.excluded | {empty_listings.on_trial}
        name = self._silences.take(lambda name: name in self.watchlist and name not in set_aside, now)
        return None if name is None else SilenceFetch(name, self._silences, self._answers, empty_listings)

    def _ranked_fetch(self, now: float, *, with_popular: bool = True) -> RankedFetch | None:
        listing = self.ranked.take(now, lambda name: name not in self.watchlist.excluded, with_popular=with_popular)
        return None if listing is None else fetch_of(listing, self.ranked)

    def _note_appearances(self, findings: Findings, confirmed: Sequence[bool]) -> None:
        if not findings.fetch.is_in_order:
            return
        decided = zip(findings.decisions, confirmed, strict=True)
        new = [findings.items[decision.item] for decision, is_sent in decided if decision.is_new and is_sent]
        is_combined = findings.fetch.shows_newest and len(findings.fetch.names) > 1
        # Below a page that is not proven a gap is open, and its pages are read down to the page before.
        if is_combined and findings.is_proven and self._answers_ids:
            is_whole = findings.after is None
            self._reappearances.read_page(findings.items, new, is_whole=is_whole)
        if is_combined and findings.items:
            names, shown = findings.fetch.names, {item.subreddit.lower() for item in findings.items}
            bottom = -math.inf if findings.after is None else min(item.created for item in findings.items)
            missing = self._reappearances.missing(names, shown, bottom)
            self._silences.read_page(names, shown, missing, findings.seen_at)
        for item in new:
            self._reappearances.note(item.subreddit.lower(), item.created, item.id)

    def _subreddit_of(self, id_: str) -> str | None:
        known = self.posts.get(id_)
        return known.subreddit if known else None

    def _decide(self, findings: Findings, now: float) -> None:
        fetch = findings.fetch
        new_since, new_until = fetch.new_since(now), fetch.new_until()
        findings.places = fetch.places(findings.items)
        decided: set[str] = set()
        for index, item in enumerate(findings.items):
            known = self.posts.get(item.id)
            if known is None:
                if new_since < item.created <= new_until and item.id not in decided:
                    decided.add(item.id)
                    findings.decisions.append(Decision(index, is_new=True, with_body=True))
                continue
            if note_observation(known, item, now) and not fetch.is_refresh and now - item.created < HORIZON:
                self._queue.score_changed(known, now)
            place = findings.place(index)
            has_news = place is not None and fetch.is_news(item.id, place, now)
            if has_news and not may_publish(known, now):
                has_news = False
                fetch.note_untold(now)
            if (has_news or must_publish(known, item, now)) and item.id not in decided:
                decided.add(item.id)
                with_body = state_changed(known, item) or text_changed(known, item)
                findings.decisions.append(Decision(index, is_new=False, with_body=with_body))
            elif known.text is None:
                known.text = item.text

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_EVERY and not self.gaps:
            self._swept_at = now
            for id_ in [id_ for id_, known in self.posts.items() if _is_forgotten(known, now)]:
                del self.posts[id_]


def _is_forgotten(known: KnownPost, now: float) -> bool:
    return now - known.created > HORIZON and now - known.seen_at > SHOWN_LATELY
