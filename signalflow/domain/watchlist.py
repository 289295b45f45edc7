"""Which subreddits share a listing request, and how often each group of them is polled. Pure.

Subreddits of one priority form a group, or several if there are many. If few requests are allowed, all priorities share
a group, because one request serves all of them. Reddit may refuse a combined listing because of one of its subreddits,
or fail to answer it for as long as it names that subreddit. Then the group is halved, again and again, until that
subreddit is alone. It is excluded and tried again, later after each try, and the others form groups again.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signalflow.domain.backoff import Backoff
from signalflow.domain.emptiness import BELIEVED_AFTER, EmptyListings
from signalflow.domain.groups import Group, split_names
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.subreddits import POLL_SECONDS, Priority, Subreddit
from signalflow.domain.suspicion import FAILURES_BESIDE_OTHER_KIND, LastAnswers

SHORTEST_INTERVAL = 1.0
# A page holds 100 posts. With a mean of 55 new ones the chance of an overflow is 2e-8 (Poisson tail), so a group is
# polled before 55 are expected.
MAX_EXPECTED_NEW = 55.0
# Seconds until a group that Reddit refuses only as a whole is tried again.
RETRY_UNAVAILABLE = 3600.0
# With fewer listings a minute than this, the fast group alone would take more than all.
COMBINED_BELOW = 60.0 / POLL_SECONDS["fast"]
# Waits until an excluded subreddit is tried again, by its tries in a row that did not succeed.
EXCLUSIONS = Backoff(first=60.0, most=RETRY_UNAVAILABLE)
# Waits until halves of a group that had no answer are polled together again, by how often that was tried of late.
REUNIONS = Backoff(first=60.0, most=RETRY_UNAVAILABLE)
# Longest wait in seconds until a failed poll of a group is tried again.
LONGEST_RETRY = 60.0
# The same wait when Reddit refuses every subreddit: then the subreddits are hardly the reason, so it is shorter.
RETRY_WHEN_ALL_GONE = 60.0


@dataclass(slots=True)
class _Excluded:
    """A subreddit outside of the groups. It is polled alone from `retry_at` on, and joins them when it is answered.

    `tries` counts the polls in a row that excluded it, the last one at `failed_at`; 0: it only has to catch up.
    """

    retry_at: float
    anchors: tuple[Anchor, ...]
    tries: int = 0
    failed_at: float = math.inf


class Watchlist:
    """The groups and their timetable. Names are lower case."""

    def __init__(self, listing_per_minute: float, answers: LastAnswers | None = None) -> None:
        self._per_minute = listing_per_minute
        self._answers = answers or LastAnswers()
        self._wanted: dict[str, Subreddit] = {}
        self._excluded: dict[str, _Excluded] = {}
        self._merge_at = math.inf
        self._reunions = 0
        self._reunited_at = -math.inf
        self._has_exclusion_changed = False
        self.empty_listings = EmptyListings()
        self.groups: list[Group] = []
        # Gaps whose group was dissolved before the page above them was published in full.
        self.detached_gaps: list[Gap] = []

    @property
    def excluded(self) -> frozenset[str]:
        """Subreddits outside of the groups: Reddit refuses their listing, or it must first catch up with the others."""
        return frozenset(self._excluded)

    @property
    def set_aside(self) -> frozenset[str]:
        """Subreddits whose listings Reddit refuses or does not answer."""
        return frozenset(name for name, excluded in self._excluded.items() if excluded.tries)

    def __contains__(self, name: str) -> bool:
        return name in self._wanted

    def configure(self, subreddits: Iterable[Subreddit], now: float) -> bool:
        """Watch exactly these subreddits; returns whether anything changed. Subreddits that stay keep their anchors."""
        wanted = {
            subreddit.name.lower(): Subreddit(subreddit.name.lower(), subreddit.interval_seconds, subreddit.priority)
            for subreddit in subreddits
        }
        if wanted == self._wanted:
            return False
        self._wanted = wanted
        self._excluded = {name: excluded for name, excluded in self._excluded.items() if name in wanted}
        self.empty_listings.keep(wanted)
        self._regroup(now)
        return True

    def set_pace(self, per_minute: float, now: float) -> None:
        """So many listings a minute are allowed from now on."""
        if per_minute == self._per_minute:
            return
        was_combined = self._is_combined
        self._per_minute = per_minute
        if self._is_combined != was_combined:
            self._regroup(now)
        else:
            self._set_intervals()

    @property
    def _is_combined(self) -> bool:
        return self._per_minute < COMBINED_BELOW

    def poll_alone(self, anchors: Mapping[str, tuple[Anchor, ...]], now: float) -> None:
        """Poll each of these subreddits alone, with its own anchors, until it is answered. Then it joins the others."""
        self._excluded |= {name: _Excluded(now, own) for name, own in anchors.items()}
        self._regroup(now)

    def due(self, now: float) -> Group | None:
        """The group that is due for the largest part of its interval; None when none is due."""
        self._retry_excluded(now)
        if now >= self._merge_at:
            self._regroup(now)
        self._join_answered(now)
        late = [group for group in self.groups if group.due <= now]
        return max(late, key=lambda group: (now - group.due) / group.interval, default=None)

    def next_due(self) -> float:
        """When the next group is due; inf without groups."""
        return min((group.due for group in self.groups), default=math.inf)

    def in_doubt_since(self) -> float:
        """The last failure after which only another answer of Reddit can show whose fault it is; -inf without one."""
        doubtful = (group.failed_at for group in self.groups if group.failures >= FAILURES_BESIDE_OTHER_KIND - 1)
        return max((at for at in doubtful if not self._answers.came_since(at)), default=-math.inf)

    def started(self, group: Group, now: float) -> None:
        """A poll of the group starts: the next one is due an interval later."""
        group.due = now + group.interval

    def succeeded(self, group: Group, now: float) -> None:
        """The group's listing was answered."""
        group.failures, group.failed_at, group.is_answered = 0, math.inf, True
        for name in group.names:
            if self._excluded.pop(name, None):
                self._has_exclusion_changed = True
        for other in self.groups:
            if other.failures:
                # Reddit answers listings: the next failure of this one shows that its names are the reason.
                other.due = min(other.due, now)
        self._set_intervals()
        self._consider_merging(now)

    def failed(self, group: Group, now: float) -> None:
        """The group's poll had no answer, for a reason that has nothing to do with its names.

        It is tried again soon, and later after each failure. The growing wait lets the other groups come first.
        """
        group.failures += 1
        group.failed_at = now
        group.due = now + Backoff(group.interval, LONGEST_RETRY).after(group.failures)

    def unanswered(self, group: Group, now: float, *, was_empty: bool = False) -> bool:
        """The group's poll had no answer (5xx, timeout, unusable answer), and one of its names may be the reason.

        If other requests were answered since it failed before, the group is halved, or its only subreddit excluded.
        `was_empty`: the answer was a listing without posts. Returns whether its only subreddit is the reason, as far as
        the answers to other requests show.
        """
        if was_empty and len(group.names) > 1 and self.empty_listings.on_trial in group.names:
            self._convict(group, now)
            return False
        failed_before = group.failed_at
        self.failed(group, now)
        if was_empty:
            # Reddit has answered, so it need not be spared.
            group.due = now + group.interval
        is_suspected = self._answers.cast_suspicion("listing", group.failures, failed_before, was_empty=was_empty)
        is_alone = len(group.names) == 1
        # When Reddit answers no listing at all, excluding every subreddit would only delay the end of the outage.
        if self._answers.convict("listing", failed_before, was_empty=was_empty) if is_alone else is_suspected:
            if was_empty and is_alone and self._put_on_trial(group):
                self.succeeded(group, now)
            else:
                self._set_aside(group, now, is_refused=False, is_emptied=was_empty)
        return is_suspected and is_alone

    def showed_nothing(self, group: Group, now: float) -> None:
        """The group's listing is empty, and no post is known that should be on it."""
        name, on_trial = group.names[0], self.empty_listings.on_trial
        if len(group.names) > 1 and group.is_emptied:
            # One of these names may be the reason that its larger group showed nothing.
            self._set_aside(group, now, is_refused=False, is_emptied=True)
            return
        if len(group.names) == 1 and group.is_temporary:
            is_suspect = self._tries(name) > 0 if name in self._excluded else group.is_emptied
            if is_suspect and name != on_trial:
                self.empty_listings.put_on_trial(name, self._tries(name))
        elif on_trial in group.names:
            # It is a group by itself, or no post of the others is known: it harms nobody.
            self.empty_listings.acquit()
        self.succeeded(group, now)

    def _tries(self, name: str) -> int:
        return self._excluded[name].tries if name in self._excluded else 0

    def _put_on_trial(self, group: Group) -> bool:
        (name,) = group.names
        tries = self._tries(name)
        is_ready = tries >= BELIEVED_AFTER - 1 or self.empty_listings.is_guilty(name)
        return is_ready and self.empty_listings.put_on_trial(name, tries)

    def _convict(self, group: Group, now: float) -> None:
        """The group shows nothing because of the name on trial: go on without it."""
        name, tries = self.empty_listings.on_trial, self.empty_listings.convict() + 1
        if name is None or group not in self.groups:
            return
        anchors = self._group_from(group.priority, (name,), [group], now).anchors
        self._excluded[name] = _Excluded(now + EXCLUSIONS.after(tries), anchors, tries, now)
        self._has_exclusion_changed = True
        self.groups.remove(group)
        self._detach_gap(group)
        rest = self._group_from(group.priority, tuple(other for other in group.names if other != name), [group], now)
        rest.is_temporary, rest.due = True, now
        self.groups.append(rest)
        self._set_intervals()

    def refused(self, group: Group, now: float) -> None:
        """Reddit refuses the group's listing (403, 404, redirect): halve the group, or exclude its only subreddit."""
        self._set_aside(group, now, is_refused=True)

    def _set_aside(self, group: Group, now: float, *, is_refused: bool, is_emptied: bool = False) -> None:
        if group not in self.groups:
            return
        self.groups.remove(group)
        self._detach_gap(group)
        self._merge_at = math.inf
        if len(group.names) == 1:
            self._exclude(group, now)
        else:
            middle = len(group.names) // 2
            for names in (group.names[:middle], group.names[middle:]):
                half = self._group_from(group.priority, names, [group], now)
                half.is_temporary, half.is_refused, half.is_emptied = True, is_refused, is_emptied
                if not is_refused:
                    half.due, half.failed_at, half.failures = now, now, FAILURES_BESIDE_OTHER_KIND - 1
                self.groups.append(half)
        self._set_intervals()
        self._consider_merging(now)

    def _detach_gap(self, group: Group) -> None:
        if group.gap is not None:
            self.detached_gaps.append(group.gap)
            group.gap = None

    def _exclude(self, group: Group, now: float) -> None:
        before = self._excluded.get(group.names[0])
        tries = before.tries + 1 if before else 1
        self._excluded[group.names[0]] = _Excluded(now + EXCLUSIONS.after(tries), group.anchors, tries, now)
        self._has_exclusion_changed = True
        if not self.groups:
            for excluded in self._excluded.values():
                excluded.retry_at = min(excluded.retry_at, now + RETRY_WHEN_ALL_GONE)

    def _consider_merging(self, now: float) -> None:
        """Once Reddit has answered every temporary group, plan to form the usual groups again.

        Do it at once if an exclusion began or ended. Otherwise Reddit would refuse the same group again: wait an hour.
        After a group that only had no answer wait a minute, or longer if it had none again soon.
        """
        temporary = [group for group in self.groups if group.is_temporary]
        is_split = bool(temporary) or self._has_exclusion_changed
        if self._merge_at < math.inf or not is_split or not all(group.is_answered for group in temporary):
            return
        if self._has_exclusion_changed:
            self._merge_at = now
        elif any(group.is_refused for group in temporary):
            self._merge_at = now + RETRY_UNAVAILABLE
        else:
            self._reunions = self._reunions + 1 if now - self._reunited_at < 2 * RETRY_UNAVAILABLE else 1
            self._merge_at = self._reunited_at = now + REUNIONS.after(self._reunions)

    def _join_answered(self, now: float) -> None:
        """While other halves are suspected, poll those that Reddit has answered together: each costs a request.

        Halves that were all answered stay apart for a while: perhaps Reddit does not answer all their names at once.
        """
        for priority in POLL_SECONDS:
            halves = [g for g in self.groups if g.priority == priority and g.is_temporary and not g.is_refused]
            answered = [g for g in halves if g.is_answered and g.gap is None and not self._excluded.keys() & g.names]
            names = sorted(name for group in answered for name in group.names)
            if len(answered) < 2 or all(group.is_answered for group in halves) or len(split_names(names)) > 1:
                continue
            joined = self._group_from(priority, tuple(names), answered, now)
            joined.is_temporary = joined.is_answered = True
            self.groups = [group for group in self.groups if group not in answered] + [joined]
            self._set_intervals()

    def _retry_excluded(self, now: float) -> None:
        for name, excluded in self._excluded.items():
            if excluded.retry_at <= now:
                # Its answer decides when, and whether, it is tried again.
                excluded.retry_at = math.inf
                subreddit = self._wanted[name]
                probe = Group(self._priority_of(name), (name,), subreddit.interval_seconds, now, excluded.anchors)
                probe.is_temporary, probe.failed_at = True, excluded.failed_at
                self.groups.append(probe)
                self._set_intervals()

    def _regroup(self, now: float) -> None:
        """Build the groups again from the priorities. Each takes anchors, rate and due time from the old ones."""
        old = self.groups
        for group in old:
            self._detach_gap(group)
            for name in self._excluded.keys() & group.names:
                # It was being polled alone, and has had no answer yet.
                self._excluded[name].retry_at = now
        self._merge_at, self._has_exclusion_changed = math.inf, False
        self.groups = []
        for priority in POLL_SECONDS:
            names = sorted(n for n in self._wanted if self._priority_of(n) == priority and n not in self._excluded)
            self.groups += [self._group_from(priority, part, old, now) for part in split_names(names)]
        self._set_intervals()
        self._stagger(now)

    def _priority_of(self, name: str) -> Priority:
        return "fast" if self._is_combined else self._wanted[name].polling_priority

    def _group_from(self, priority: Priority, names: tuple[str, ...], sources: Iterable[Group], now: float) -> Group:
        group = Group(priority, names, min(self._wanted[name].interval_seconds for name in names), now)
        members = set(names)
        anchors: list[Anchor] = []
        for source in sources:
            shared = len(members.intersection(source.names))
            if not shared:
                continue
            group.rate += source.rate * shared / len(source.names)
            group.polled_at = max(group.polled_at, source.polled_at)
            group.bin_start = max(group.bin_start, source.bin_start)
            group.due = min(group.due, source.due)
            anchors += source.anchors
            if source.names == names:
                group.anchors = source.anchors
        if anchors and not group.anchors:
            # Use only the time: the ids of a quiet subreddit do not appear on a page that it shares with busy ones.
            group.anchors = (min(anchors, key=lambda anchor: anchor.since).by_time(),)
        return group

    def _stagger(self, now: float) -> None:
        """Space groups that are due now a second apart: otherwise they would wait for each other at every poll."""
        fresh = [group for group in self.groups if group.due <= now]
        for position, group in enumerate(fresh):
            group.due = now + position * SHORTEST_INTERVAL

    def _set_intervals(self) -> None:
        """Set the intervals: the priority's share of the listing budget, or less.

        Upper bounds are the shortest `interval_seconds` of the group, and the time in which a page may fill up.
        """
        whole = [group.priority for group in self.groups if not group.is_temporary]
        broken = {group.priority for group in self.groups if group.is_temporary}.difference(whole)
        demand = sum(60.0 / POLL_SECONDS[priority] for priority in [*whole, *broken])
        scale = max(demand, 60.0 / POLL_SECONDS["fast"]) / self._per_minute
        for group in self.groups:
            interval = min(POLL_SECONDS[group.priority] * scale, group.max_interval)
            if group.rate > 0:
                interval = min(interval, MAX_EXPECTED_NEW / group.rate_upper)
            group.interval = max(interval, SHORTEST_INTERVAL)
