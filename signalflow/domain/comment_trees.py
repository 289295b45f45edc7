"""Whose comments to read as a tree: those of posts that take off, and those that somebody asked for. Pure.

A post takes off when its score grows fast. Its tree shows the best comments first, so a few of them tell what people
say. What the tree leaves out is asked for by id, as long as there is room.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from signalflow.domain.known import Decision, KnownPost
from signalflow.domain.post_run import PostResult, PostRun

# More posts do not wait: those that grow fastest do.
MOST_WAITING = 50
# A post that waited for so many seconds without being seen to grow is left out.
LONGEST_WAIT = 1_800.0
# A post that still takes off is read again after so many seconds.
AGAIN = 3_600.0
# After so many requests without an answer a tree is given up. The next one waits for so many seconds.
MOST_TRIES = 3
RETRY_AFTER = 60.0
# /api/info ignores every id when more are asked for.
BATCH = 100


@dataclass(slots=True, eq=False)
class Tree:
    """The comments of one post, as far as they were read: at most `most`.

    `rest` are comments that the answer named and did not show, and that there is room for. Of all comments,
    `published` were new and confirmed by the brokers, `known` were published before and again now, `failed` were not
    confirmed, and `not_followed` are those that the answers left out and that were not asked for, or not shown; None
    until an answer tells what it left out. `run`: what it is read for, if somebody asked.
    """

    post: str
    most: int
    rest: tuple[str, ...] = ()
    published: int = 0
    known: int = 0
    failed: int = 0
    not_followed: int | None = None
    run: PostRun | None = None
    tries: int = 0
    not_before: float = -math.inf
    _depths: dict[str, int] = field(default_factory=dict)

    @property
    def shown(self) -> int:
        """How many comments were read."""
        return self.published + self.known + self.failed

    def count(self, decisions: Sequence[Decision], confirmed: Sequence[bool]) -> None:
        """Comments of the tree were published, as far as the brokers confirmed it."""
        for decision, is_sent in zip(decisions, confirmed, strict=True):
            self.published += is_sent and decision.is_new
            self.known += is_sent and not decision.is_new
            self.failed += not is_sent

    def read_rest(self, asked: Collection[str], shown: Collection[str]) -> None:
        """Some of the rest were asked for by id, and these were shown."""
        self.rest = tuple(id_ for id_ in self.rest if id_ not in asked)
        self._not_follow(len(asked) - len(shown))

    def note_left_out(self, stubs: Iterable[tuple[Sequence[str], int]] | None) -> None:
        """An answer left these comments out: some ids of each, and how many there are. The first ones go first.

        None: it does not tell what it left out.
        """
        if stubs is None:
            return
        self._not_follow(0)
        for ids, count in stubs:
            room = max(self.most - self.shown - len(self.rest), 0)
            self.rest += tuple(ids[:room])
            self._not_follow(count - min(room, len(ids)))

    def _not_follow(self, more: int) -> None:
        self.not_followed = (self.not_followed or 0) + more

    def depths(self, comments: Iterable[tuple[str, str | None, int | None]]) -> dict[str, int]:
        """The depths of these comments (id, fullname of the parent, depth if it is told), as far as the tree knows."""
        parents: dict[str, str | None] = {}
        for id_, parent, depth in comments:
            parents[id_] = parent
            if depth is not None:
                self._depths[id_] = depth
        for id_ in parents:
            self._resolve(id_, parents)
        return {id_: self._depths[id_] for id_ in parents if id_ in self._depths}

    def _resolve(self, id_: str, parents: dict[str, str | None]) -> None:
        way: list[str] = []
        while id_ not in self._depths:
            parent = parents.get(id_)
            if parent is None or id_ in way:
                return
            way.append(id_)
            if parent.startswith("t3_"):
                self._depths[id_] = 0
                break
            id_ = parent.removeprefix("t1_")
        depth = self._depths[id_]
        for below in reversed(way):
            if below != id_:
                depth += 1
                self._depths[below] = depth


class CommentTrees:
    """The posts whose comments are read, within a pace of their own.

    `most` comments are read of each; with 0 none is read. A post takes off while its score grows by more than
    `takes_off` per second.
    """

    def __init__(self, per_minute: float, most: int, takes_off: float) -> None:
        self._most, self._takes_off = most, takes_off
        self._every = 60.0 / per_minute
        self._waiting: dict[str, tuple[float, float]] = {}
        self._begun: deque[Tree] = deque()
        self._asked: deque[Tree] = deque()
        self._read_at: dict[str, float] = {}
        self._next_at = -math.inf

    def set_pace(self, per_minute: float) -> None:
        """So many requests a minute are allowed from now on."""
        self._every = 60.0 / per_minute

    def note(self, post: KnownPost, now: float) -> None:
        """A post was observed: it may take off, and wait for its comments to be read."""
        if not self._most or post.score_velocity <= self._takes_off:
            return
        if now - self._read_at.get(post.id, -math.inf) < AGAIN:
            return
        self._waiting[post.id] = (post.score_velocity, now)
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[min(self._waiting, key=self._waiting.__getitem__)]

    def begin(self, run: PostRun) -> None:
        """Read the comments of the posts of a run. Somebody waits, so they have turns beside the pace."""
        self._asked += [Tree(post, run.comments, run=run) for post in run.posts]

    def give_up(self, run: PostRun) -> None:
        """Nobody waits for a run any more: nothing else is asked for it."""
        run.is_given_up = True
        self._asked = deque(tree for tree in self._asked if tree.run is not run)

    def wake_at(self) -> float:
        """When the next request may be made; inf while there is none to make."""
        return min(self._wake_unasked(), min((tree.not_before for tree in self._asked), default=math.inf))

    def _wake_unasked(self) -> float:
        if self._waiting:
            return self._next_at
        begun = min((tree.not_before for tree in self._begun), default=math.inf)
        return max(begun, self._next_at)

    def take(self, now: float) -> Tree | None:
        """The tree to ask for now within the pace, or None.

        It is one that was begun, or that of the post which grows fastest.
        """
        if now < self._next_at:
            return None
        tree = _first(self._begun, now) or self._new(now)
        if tree is not None:
            self._next_at = now + self._every
        return tree

    def take_asked(self, now: float) -> Tree | None:
        """The tree of a run to ask for now, or None."""
        return _first(self._asked, now)

    def answered(self, tree: Tree, now: float) -> None:
        """A request for the tree was answered. It goes on while there are comments to ask for."""
        tree.tries = 0
        if tree.rest:
            self._go_on(tree, now)
        else:
            _end(tree)

    def failed(self, tree: Tree, now: float) -> None:
        """There was no answer."""
        tree.tries += 1
        if tree.tries < MOST_TRIES:
            self._go_on(tree, now + RETRY_AFTER)
        else:
            _end(tree, "not answered")

    def refused(self, tree: Tree) -> None:
        """Reddit refused the request: it answers it in no other way later."""
        _end(tree, "refused")

    def _go_on(self, tree: Tree, not_before: float) -> None:
        if tree.run is not None and tree.run.is_given_up:
            return
        tree.not_before = not_before
        (self._begun if tree.run is None else self._asked).append(tree)

    def _new(self, now: float) -> Tree | None:
        self._waiting = {id_: each for id_, each in self._waiting.items() if now - each[1] <= LONGEST_WAIT}
        if not self._waiting:
            return None
        id_ = max(self._waiting, key=self._waiting.__getitem__)
        del self._waiting[id_]
        self._read_at = {read: at for read, at in self._read_at.items() if now - at < AGAIN} | {id_: now}
        return Tree(id_, self._most)


def _first(trees: deque[Tree], now: float) -> Tree | None:
    """The first one that need not wait, taken out."""
    for _ in range(len(trees)):
        tree = trees.popleft()
        if tree.not_before <= now:
            return tree
        trees.append(tree)
    return None


def _end(tree: Tree, error: str | None = None) -> None:
    """Nothing of the tree is asked for any more."""
    if tree.run is not None:
        left = None if tree.not_followed is None else tree.not_followed + len(tree.rest)
        tree.run.results[tree.post] = PostResult(tree.published, tree.known, tree.failed, left, error)
