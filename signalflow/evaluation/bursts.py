"""How good bursts and topic clusters are, on posts of which it is known what story each tells."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from signalflow.domain.keywords import keywords
from signalflow.domain.signals.bursts import LEAST_POSTS, Burst, Mention, TermState, step
from signalflow.domain.signals.clusters import Clusters

_DAY, _HOUR = 86_400.0, 3_600.0
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class ToldPost:
    """A post, seen at `observed`; times in epoch seconds. `story`: the planted story of several posts that it tells."""

    id: str
    subreddit: str
    created: float
    observed: float
    title: str
    url: str
    story: str | None


@dataclass(frozen=True, slots=True)
class ToldStory:
    """A planted story of several posts."""

    id: str
    kind: str
    start: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """A stretch in which a subreddit has many times its usual posts, about anything."""

    subreddit: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What was planted. What begins within `since` and `until` is judged: before, the rule learns what is usual."""

    stories: Sequence[ToldStory]
    crowds: Sequence[Crowd]
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """The start of a burst. `subject`: a term, or the number of a cluster."""

    subject: str | int
    burst: Burst


@dataclass(frozen=True, slots=True)
class Found:
    """How many stories of a kind were found, and how many seconds after their first post half of these were."""

    stories: int
    found: int
    delay: float | None

    @property
    def rate(self) -> float:
        """The share that was found."""
        return self.found / self.stories if self.stories else 1.0


@dataclass(frozen=True, slots=True)
class BurstFigures:
    """How good the bursts of one kind of subject are, or of several."""

    found: Mapping[str, Found]
    alarms_a_day: float
    crowd_alarms_a_day: float
    """Most of their posts are of a crowd."""
    false_alarms_a_day: float
    """Most of their posts are of neither a story nor a crowd."""
    false_rate: float
    """False alarms per quiet hour: a clock hour of a subject with LEAST_POSTS posts, none of a story or a crowd."""


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """Pairs of posts of stories. Precision: of those in one cluster, the share that tells one story. Recall: of those
    that tell one story, the share in one cluster. `mixed`: posts of no story in clusters with posts of stories."""

    posts: int
    clusters: int
    precision: float
    recall: float
    mixed: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


class Trial:
    """Takes posts in the order of observation through keywords, clusters and bursts."""

    def __init__(self, since: float) -> None:
        self._since_us = round(since * _MICROSECONDS)
        self._clusters = Clusters()
        self._states: dict[str | int, TermState] = {}
        self.alarms: list[Alarm] = []
        self.posts: dict[str, ToldPost] = {}
        self.cluster_of: dict[str, int] = {}
        self.mentions: dict[str | int, list[str]] = defaultdict(list)

    def add(self, post: ToldPost) -> None:
        """Count a post."""
        self.posts[post.id] = post
        observed_us = round(post.observed * _MICROSECONDS)
        subjects: list[str | int] = [*keywords(post.title)]
        cluster = self._clusters.add(post.id, post.title, post.url, observed_us).cluster
        if cluster is not None:
            self.cluster_of[post.id] = cluster.number
            subjects.append(cluster.number)
        mention = Mention(post.id, post.subreddit, round(post.created * _MICROSECONDS), observed_us)
        for subject in subjects:
            self.mentions[subject].append(post.id)
            state, changes = step(self._states.get(subject), mention, self._since_us)
            if state is not None:
                self._states[subject] = state
            self.alarms += [Alarm(subject, change.burst) for change in changes if change.kind == "start"]


def burst_figures(trial: Trial, truth: Truth, subjects: tuple[type, ...] = (str, int)) -> BurstFigures:
    """Judge the alarms of terms (str), of clusters (int), or of both."""
    crowds = _Crowds(truth.crowds)
    found: dict[str, float] = {}
    of_crowds = false = judged = 0
    for alarm in trial.alarms:
        if not isinstance(alarm.subject, subjects):
            continue
        posts = [trial.posts[post] for post in alarm.burst.posts]
        noticed = alarm.burst.noticed_us / _MICROSECONDS
        story, members = Counter(post.story for post in posts).most_common(1)[0]
        if story is not None and 2 * members >= len(posts):
            found.setdefault(story, noticed)
        if not truth.since <= noticed < truth.until:
            continue
        judged += 1
        if sum(post.story is not None for post in posts) * 2 >= len(posts):
            continue
        if 2 * sum(post.story is not None or crowds.has(post) for post in posts) >= len(posts):
            of_crowds += 1
        else:
            false += 1
    days = (truth.until - truth.since) / _DAY
    return BurstFigures(
        found={kind: _found(truth, kind, found) for kind in sorted({story.kind for story in truth.stories})},
        alarms_a_day=judged / days,
        crowd_alarms_a_day=of_crowds / days,
        false_alarms_a_day=false / days,
        false_rate=false / max(_quiet_hours(trial, truth, crowds, subjects), 1),
    )


def cluster_figures(trial: Trial) -> ClusterFigures:
    """Compare clusters with stories, over all posts."""
    told = {post.id: post.story for post in trial.posts.values() if post.story is not None}
    in_cluster = Counter(trial.cluster_of[post] for post in told if post in trial.cluster_of)
    in_both = Counter((trial.cluster_of[post], story) for post, story in told.items() if post in trial.cluster_of)
    right, together, one_story = map(_pairs, (in_both.values(), in_cluster.values(), Counter(told.values()).values()))
    return ClusterFigures(
        posts=len(trial.posts),
        clusters=len(set(trial.cluster_of.values())),
        precision=right / together if together else 1.0,
        recall=right / one_story if one_story else 1.0,
        mixed=sum(post not in told and number in in_cluster for post, number in trial.cluster_of.items()),
    )


class _Crowds:
    def __init__(self, crowds: Iterable[Crowd]) -> None:
        self._of: dict[str, list[Crowd]] = defaultdict(list)
        for crowd in crowds:
            self._of[crowd.subreddit].append(crowd)

    def has(self, post: ToldPost) -> bool:
        """Whether a post was made in a crowd."""
        return any(crowd.start <= post.created < crowd.end for crowd in self._of[post.subreddit])


def _found(truth: Truth, kind: str, noticed: Mapping[str, float]) -> Found:
    stories = [s for s in truth.stories if s.kind == kind and truth.since <= s.start < truth.until - 2 * _HOUR]
    delays = [noticed[story.id] - story.start for story in stories if story.id in noticed]
    return Found(len(stories), len(delays), median(delays) if delays else None)


def _quiet_hours(trial: Trial, truth: Truth, crowds: _Crowds, subjects: tuple[type, ...]) -> int:
    quiet = 0
    for subject, ids in trial.mentions.items():
        if isinstance(subject, subjects):
            hours: dict[float, list[ToldPost]] = defaultdict(list)
            for post in map(trial.posts.__getitem__, ids):
                if truth.since <= post.created < truth.until:
                    hours[post.created // _HOUR].append(post)
            quiet += sum(
                len(posts) >= LEAST_POSTS and not any(post.story or crowds.has(post) for post in posts)
                for posts in hours.values()
            )
    return quiet


def _pairs(counts: Iterable[int]) -> int:
    return sum(count * (count - 1) // 2 for count in counts)
