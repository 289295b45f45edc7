"""The simulated Reddit: the posts of any time, computed when asked for. Nothing here runs by itself.

Time is divided into slots of 60 s. The parameters and a slot's number decide its posts; a post and the time decide its
state. So posts older than `RETENTION` can be forgotten and made again.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from heapq import merge
from itertools import islice
from math import ceil

from signalflow.errors import Invalid
from signalflow.simulator.arrivals import FIRST_NUMBER, ID_STEPS, IDS_PER_SLOT, SLOT, Arrivals
from signalflow.simulator.changes import Change, CommentDeleted, PostAdded, PostChanged
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.posts import LifeEvent, Post, State, state_of
from signalflow.simulator.stories import PlantedPost, Stories, Story
from signalflow.simulator.subreddits import Subreddit, default_subreddits

# Listings reach this far back; older posts are made again when /api/info asks for them.
RETENTION = 2 * DAY
# Reddit keeps the newest 1000 posts of a subreddit in its listing.
LISTING_CAP = 1_000


class World:
    """Equal parameters give equal posts. Times are epoch seconds; upper and lower case of subreddits do not matter."""

    def __init__(self, parameters: Parameters, subreddits: Sequence[Subreddit] | None = None) -> None:
        self.parameters = parameters
        self.subreddits = {sub.key: sub for sub in (subreddits or default_subreddits())}
        self.begin = (parameters.epoch - parameters.history) // SLOT * SLOT
        self._arrivals = Arrivals(parameters, list(self.subreddits.values()))
        self._stories = Stories(parameters, list(self.subreddits.values()))
        self._slots: dict[int, list[Post]] = {}
        self._by_subreddit: dict[str, list[Post]] = {key: [] for key in self.subreddits}
        self._next_slot = 0
        self._pruned_at = 0.0
        self._added: dict[int, list[PostAdded]] = {}
        self._changed: dict[int, list[LifeEvent]] = {}
        self._deleted_comments: dict[int, dict[int, float]] = {}
        self._remade = lru_cache(maxsize=256)(self._make_slot)

    def post(self, post_id: str, now: float) -> Post | None:
        """The post with an id (without t3_); None if it is not created by now."""
        if not (1 <= len(post_id) <= 13 and post_id.isalnum() and post_id.isascii()) or post_id != post_id.lower():
            return None
        number = int(post_id, 36)
        slot = (number - FIRST_NUMBER) // IDS_PER_SLOT
        if slot < 0 or self.begin + slot * SLOT > now:
            return None
        posts = self._slot(slot)
        place = bisect_left(posts, number, key=lambda post: post.number)
        if place == len(posts) or posts[place].number != number or posts[place].created > now:
            return None
        return posts[place]

    def state_at(self, post_id: str, t: float) -> State | None:
        """What the API says about a post at t; None if it is not created by then."""
        post = self.post(post_id, t)
        return None if post is None else state_of(post, t, self.parameters.fuzz)

    def new_posts_between(self, start: float, end: float) -> list[Post]:
        """Posts created in [start, end), shown in listings or not, in order of creation."""
        first = max(int((start - self.begin) // SLOT), 0)
        last = int((end - self.begin) // SLOT)
        slots = (self._slot(slot) for slot in range(first, last + 1))
        return [post for posts in slots for post in posts if start <= post.created < end]

    def newest(self, names: Iterable[str], now: float, cap: int | None = LISTING_CAP) -> Iterator[Post]:
        """Visible posts of the subreddits, newest first, at most `cap` of each; all that are kept if it is None."""
        self.advance(now)
        listings = [islice(self._visible(name.lower(), now), cap) for name in names]
        return listings[0] if len(listings) == 1 else merge(*listings, key=lambda post: -post.number)

    def stories_between(self, start: float, end: float) -> list[Story]:
        """Planted stories with a post in [start, end)."""
        start = max(start, self.begin)
        return [s for s in self._stories.between(start, end) if any(start <= p.created < end for p in s.posts)]

    def bursts_between(self, start: float, end: float) -> list[tuple[Subreddit, float]]:
        """Bursts of arrivals that begin in [start, end), each as subreddit and start."""
        subs = list(self.subreddits.values())
        days = range(int(start // DAY), int(end // DAY) + 1)
        return [(subs[index], at) for day in days for index, at in self._arrivals.bursts(day) if start <= at < end]

    def free_number(self, at: float) -> tuple[int, float]:
        """A free number for a post that is added at about `at`, and the time of creation that keeps ids in order."""
        slot = int((at - self.begin) // SLOT)
        taken = {post.number for post in self._slot(slot)}
        first = FIRST_NUMBER + slot * IDS_PER_SLOT
        place = ceil((at - self.begin - slot * SLOT) / SLOT * ID_STEPS)
        while first + place in taken:
            place += 1
        return first + place, self.begin + slot * SLOT + place * SLOT / ID_STEPS

    def apply(self, change: Change) -> None:
        """Apply a change made by hand. Raises Invalid when there is no such subreddit."""
        if isinstance(change, PostChanged):
            self._changed.setdefault(change.number, []).append(LifeEvent(change.at, change.kind))
            for post in self._slots.get((change.number - FIRST_NUMBER) // IDS_PER_SLOT, ()):
                if post.number == change.number:
                    post.life = tuple(sorted([*post.life, LifeEvent(change.at, change.kind)]))
        elif isinstance(change, CommentDeleted):
            deleted = self._deleted_comments.setdefault(change.number, {})
            deleted.setdefault(change.place, change.at)
            for post in self._slots.get((change.number - FIRST_NUMBER) // IDS_PER_SLOT, ()):
                if post.number == change.number:
                    post.deleted_comments = deleted
        elif isinstance(change, PostAdded):
            self.subreddit(change.subreddit)
            slot = (change.number - FIRST_NUMBER) // IDS_PER_SLOT
            self._added.setdefault(slot, []).append(change)
            if slot in self._slots:
                post = self._of_added(change)
                insort(self._slots[slot], post, key=lambda other: other.number)
                insort(self._by_subreddit[post.subreddit.key], post, key=lambda other: other.number)
        else:
            self.subreddit(change.subreddit).access = change.access
        self._remade.cache_clear()

    def subreddit(self, name: str) -> Subreddit:
        """The subreddit with a name. Raises Invalid when there is none."""
        found = self.subreddits.get(name.lower())
        if found is None:
            raise Invalid(f"there is no subreddit {name!r}", field="subreddit")
        return found

    def _visible(self, key: str, now: float) -> Iterator[Post]:
        posts = self._by_subreddit.get(key, [])
        for place in range(bisect_right(posts, now, key=lambda post: post.created) - 1, -1, -1):
            if posts[place].visible_at(now):
                yield posts[place]

    def advance(self, now: float) -> None:
        """Make all slots up to now (half a second of work per day), and forget posts older than `RETENTION`."""
        last = int((now - self.begin) // SLOT)
        oldest = int((now - RETENTION - self.begin) // SLOT)
        self._next_slot = max(self._next_slot, oldest)
        while self._next_slot <= last:
            posts = self._slots[self._next_slot] = self._make_slot(self._next_slot)
            for post in posts:
                self._by_subreddit[post.subreddit.key].append(post)
            self._next_slot += 1
        if now - self._pruned_at > 3_600.0:
            self._pruned_at = now
            for slot in [slot for slot in self._slots if slot < oldest]:
                del self._slots[slot]
            for posts in self._by_subreddit.values():
                del posts[: bisect_left(posts, self.begin + oldest * SLOT, key=lambda post: post.created)]

    def _slot(self, slot: int) -> list[Post]:
        posts = self._slots.get(slot)
        return self._remade(slot) if posts is None else posts

    def _make_slot(self, slot: int) -> list[Post]:
        start = self.begin + slot * SLOT
        drawn, rng = self._arrivals.draw(start)
        planted = self._stories.planted(start, start + SLOT)
        number = FIRST_NUMBER + slot * IDS_PER_SLOT - 1
        posts: list[Post] = []
        arrivals = merge(
            ((at, sub, None) for at, sub in drawn),
            ((post.created, story, post) for story, post in planted),
            key=lambda item: item[0],
        )
        for at, source, post in arrivals:
            number = max(number + 1, FIRST_NUMBER + slot * IDS_PER_SLOT + int((at - start) / SLOT * ID_STEPS))
            if isinstance(source, Story) and post is not None:
                posts.append(self._planted(number, source, post))
            elif isinstance(source, Subreddit):
                posts.append(self._arrivals.post(number, at, source, rng))
        posts.extend(self._of_added(added) for added in self._added.get(slot, ()))
        for made in posts:
            if made.number in self._changed:
                made.life = tuple(sorted([*made.life, *self._changed[made.number]]))
            made.deleted_comments = self._deleted_comments.get(made.number, {})
        return sorted(posts, key=lambda made: made.number)

    def _planted(self, number: int, story: Story, planted: PlantedPost) -> Post:
        return Post(
            number=number,
            subreddit=planted.subreddit,
            created=planted.created,
            rise=planted.rise,
            tau=planted.tau,
            start=planted.created,
            talk=planted.talk,
            ratio=0.93,
            kind="link",
            over_18=False,
            text_seed=planted.text_seed,
            story=story.id,
            title=planted.title,
        )

    def _of_added(self, added: PostAdded) -> Post:
        return Post(
            number=added.number,
            subreddit=self.subreddit(added.subreddit),
            created=added.created,
            rise=added.rise,
            tau=added.tau,
            start=added.created,
            talk=added.talk,
            ratio=0.9,
            kind="self",
            over_18=False,
            text_seed=added.text_seed,
            title=added.title,
            says=added.says,
        )
