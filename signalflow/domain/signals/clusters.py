"""Topic clusters: posts that tell the same, found in one pass over their titles.

A title is a unit vector of its words, weighted by how rare these are in titles (frozen document frequencies). It joins
the cluster whose centre is most similar, or begins one of its own (leader clustering). A title that equals another one,
and a post with the link of another one, joins that one's cluster. The same sequence of posts gives the same clusters.

Measured in docs/decisions/clusters.md.
"""

import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import log, sqrt
from typing import Literal, NamedTuple

from signalflow.domain.keywords import Frequencies, frozen_frequencies, terms

# The least cosine of a title and the centre of the cluster that it joins.
LEAST_SIMILARITY = 0.3
# One word in common is a subject, and no story.
LEAST_SHARED = 2
# A cluster ends when no post joined it for two days.
LIFETIME_US = 48 * 3_600_000_000
# What bounds the memory. The clusters that were joined longest ago go first.
MOST_CLUSTERS = 50_000
# What bounds a cluster: the heaviest words of its centre, the newest posts, titles and links.
MOST_TERMS = 12
MOST_POSTS = 50
MOST_KEYS = 50
# What bounds the work of a title: a word that is in more than one of 50 titles, or in the centres of more clusters than
# this, finds none.
COMMON_SHARE = 0.02
MOST_POSTINGS = 500
LABEL_TERMS = 3
# A title of fewer words is not the same as another one only because it reads the same ("Me irl").
LEAST_WORDS_OF_A_KEY = 3

_POST_OF_REDDIT = re.compile(r"(?:^|\.)(?:reddit\.com|redd\.it)/(?:r/[^/]+/|u(?:ser)?/[^/]+/)?comments/([a-z0-9]+)")
_WORD = re.compile(r"\w+")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.\-]*://(?:www\.|old\.|m\.)?", re.IGNORECASE)

How = Literal["first", "again", "title", "link", "similar"]


@dataclass(slots=True)
class Cluster:
    """Posts that tell the same. Its id is the id of its first post."""

    id: str
    number: int
    """Clusters are numbered in the order in which they begin."""
    turn: int = 0
    """The number of the post that joined it last: the order in which clusters were joined."""
    joined_us: int = 0
    """The log time at which a post joined it last, in microseconds."""
    size: int = 0
    """All posts that joined it."""
    centre: dict[str, float] = field(default_factory=dict)
    """The sum of its titles' vectors, its heaviest words only."""
    posts: list[str] = field(default_factory=list)
    """The newest posts, in the order in which they joined."""
    keys: list[int] = field(default_factory=list)
    """Hashes of its newest titles and links."""

    @property
    def label(self) -> tuple[str, ...]:
        """The heaviest words of its centre, the heaviest one first; of equal ones the first in the alphabet."""
        return tuple(_heaviest(self.centre, LABEL_TERMS))


class Told(NamedTuple):
    """A post of a cluster, and what put it there."""

    id: str
    title: str
    url: str | None


class Assignment(NamedTuple):
    """The cluster of a post, after it joined, how it was found, and the ids of the clusters that ended meanwhile.

    `similarity` is the cosine that decided; None where another thing did. A post without words that say something has
    no cluster.
    """

    cluster: Cluster | None
    how: How
    similarity: float | None
    ended: tuple[str, ...]


class Clusters:
    """The living clusters. `living` are those of an earlier time, in any order; they are changed."""

    def __init__(self, living: Iterable[Cluster] = (), frequencies: Frequencies | None = None) -> None:
        self._frequencies = frequencies or frozen_frequencies()
        # By number; the one that was joined longest ago comes first.
        self._clusters: OrderedDict[int, Cluster] = OrderedDict()
        self._norms: dict[int, float] = {}
        # For each word the clusters that have it in their centre, with its weight there.
        self._postings: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._by_id: dict[str, int] = {}
        self._by_post: dict[str, int] = {}
        self._by_key: dict[int, int] = {}
        self._turn = self._number = self._now_us = 0
        for cluster in sorted(living, key=lambda one: one.turn):
            self._clusters[cluster.number] = cluster
            self._by_id[cluster.id] = cluster.number
            self._weigh(cluster, {})
            self._by_post.update(dict.fromkeys(cluster.posts, cluster.number))
            self._by_key.update(dict.fromkeys(cluster.keys, cluster.number))
            self._turn, self._number = cluster.turn, max(self._number, cluster.number)
            self._now_us = max(self._now_us, cluster.joined_us)

    def __len__(self) -> int:
        return len(self._clusters)

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self._clusters.values())

    def has_passed(self, observed_us: int) -> bool:
        """Whether what was observed then is older than every living cluster."""
        return observed_us + LIFETIME_US <= self._now_us

    def add(self, post: str, title: str, url: str | None, observed_us: int) -> Assignment:
        """Find the cluster of a post. A post that is a part of one already changes nothing."""
        self._now_us = max(self._now_us, observed_us)
        ended = tuple(self._ended())
        if (number := self._by_post.get(post)) is not None:
            return Assignment(self._clusters[number], "again", None, ended)
        vector = title_vector(title, self._frequencies)
        if not vector:
            return Assignment(None, "first", None, ended)
        keys = keys_of(title, url)
        cluster, how, similarity = self._found(post, vector, keys)
        if cluster is None:
            self._number += 1
            cluster = Cluster(post, self._number)
        self._join(cluster, post, vector, keys)
        return Assignment(cluster, how, similarity, (*ended, *self._too_many()))

    def retell(self, id_: str, size: int, posts: Iterable[Told]) -> Cluster | None:
        """Make a living cluster anew, because a post has left it: nothing of that post stays.

        `size`: how many posts are left. `posts`: the newest of them, the oldest first. Returns the cluster; None if it
        does not live, or if no post is left: then it ends.
        """
        number = self._by_id.get(id_)
        if number is None:
            return None
        cluster = self._clusters[number]
        self._withdraw(cluster)
        if not size:
            del self._clusters[number], self._by_id[id_]
            return None
        cluster.size, cluster.centre, cluster.posts, cluster.keys = size, {}, [], []
        for post in posts:
            self._tell(cluster, post.id, title_vector(post.title, self._frequencies), keys_of(post.title, post.url))
        return cluster

    def _found(
        self, post: str, vector: Mapping[str, float], keys: Mapping[How, int]
    ) -> tuple[Cluster | None, How, float | None]:
        if post in self._by_id:
            # It left the cluster that it had begun, and comes back. No other cluster may have that id.
            return self._clusters[self._by_id[post]], "first", None
        for how, key in keys.items():
            if key in self._by_key:
                return self._clusters[self._by_key[key]], how, None
        number, similarity = self._most_similar(vector)
        if similarity < LEAST_SIMILARITY:
            return None, "first", None
        return self._clusters[number], "similar", similarity

    def _most_similar(self, vector: Mapping[str, float]) -> tuple[int, float]:
        """The number of the cluster whose centre has the largest cosine, of equal ones the oldest; 0 for none."""
        products: defaultdict[int, float] = defaultdict(float)
        shared: defaultdict[int, int] = defaultdict(int)
        for word, weight in vector.items():
            postings = self._postings.get(word, {})
            if len(postings) <= MOST_POSTINGS:
                for number, weight_there in postings.items():
                    products[number] += weight * weight_there
                    shared[number] += 1
        best, highest = 0, 0.0
        for number, product in products.items():
            if shared[number] < LEAST_SHARED:
                continue
            similarity = product / self._norms[number]
            if similarity > highest or (similarity == highest and number < best):
                best, highest = number, similarity
        return best, highest

    def _join(self, cluster: Cluster, post: str, vector: Mapping[str, float], keys: Mapping[How, int]) -> None:
        self._turn += 1
        cluster.turn, cluster.joined_us = self._turn, self._now_us
        cluster.size += 1
        self._clusters[cluster.number] = cluster
        self._clusters.move_to_end(cluster.number)
        self._by_id[cluster.id] = cluster.number
        self._tell(cluster, post, vector, keys)

    def _tell(self, cluster: Cluster, post: str, vector: Mapping[str, float], keys: Mapping[How, int]) -> None:
        before = cluster.centre
        cluster.centre = _moved(before, vector)
        self._weigh(cluster, before)
        self._by_post[post] = cluster.number
        cluster.posts.append(post)
        if len(cluster.posts) > MOST_POSTS:
            del self._by_post[cluster.posts.pop(0)]
        for key in keys.values():
            if key not in self._by_key:
                self._by_key[key] = cluster.number
                cluster.keys.append(key)
        while len(cluster.keys) > MOST_KEYS:
            del self._by_key[cluster.keys.pop(0)]

    def _weigh(self, cluster: Cluster, before: Iterable[str]) -> None:
        """Bring norm and postings of a cluster up to date with its centre."""
        for word in before:
            if word not in cluster.centre:
                self._drop_posting(word, cluster.number)
        for word, weight in cluster.centre.items():
            self._postings[word][cluster.number] = weight
        self._norms[cluster.number] = sqrt(sum(weight * weight for weight in cluster.centre.values()))

    def _drop_posting(self, word: str, number: int) -> None:
        del self._postings[word][number]
        if not self._postings[word]:
            del self._postings[word]

    def _ended(self) -> Iterator[str]:
        while self._clusters:
            cluster = next(iter(self._clusters.values()))
            if cluster.joined_us + LIFETIME_US > self._now_us:
                return
            yield self._forget(cluster)

    def _too_many(self) -> Iterator[str]:
        while len(self._clusters) > MOST_CLUSTERS:
            yield self._forget(next(iter(self._clusters.values())))

    def _forget(self, cluster: Cluster) -> str:
        self._withdraw(cluster)
        del self._clusters[cluster.number], self._by_id[cluster.id]
        return cluster.id

    def _withdraw(self, cluster: Cluster) -> None:
        """No post finds it any more."""
        del self._norms[cluster.number]
        for word in cluster.centre:
            self._drop_posting(word, cluster.number)
        for post in cluster.posts:
            del self._by_post[post]
        for key in cluster.keys:
            del self._by_key[key]


def label_of(titles: Iterable[str], frequencies: Frequencies | None = None) -> tuple[str, ...]:
    """The label of a cluster of posts with these titles."""
    known = frequencies or frozen_frequencies()
    centre: dict[str, float] = {}
    for title in titles:
        centre = _moved(centre, title_vector(title, known))
    return tuple(_heaviest(centre, LABEL_TERMS))


def title_vector(title: str, frequencies: Frequencies) -> dict[str, float]:
    """The unit vector of a title's words that are not common, at most its heaviest MOST_TERMS; {} without any."""
    counts, documents = frequencies.counts, frequencies.documents
    words = {
        word: log(documents / count)
        for word in terms(title)
        if (count := counts.get(word, 1)) <= documents * COMMON_SHARE
    }
    norm = sqrt(sum(weight * weight for weight in words.values()))
    return {word: words[word] / norm for word in _heaviest(words, MOST_TERMS)}


def _moved(centre: Mapping[str, float], vector: Mapping[str, float]) -> dict[str, float]:
    """The centre of a cluster that a title has joined."""
    sums = {**centre, **{word: centre.get(word, 0.0) + weight for word, weight in vector.items()}}
    return {word: sums[word] for word in _heaviest(sums, MOST_TERMS)}


def keys_of(title: str, url: str | None) -> dict[How, int]:
    """What a post has in common with one that is the same thing: the keys of its title and of its link."""
    keys: dict[How, int | None] = {"title": title_key(title), "link": link_key(url) if url else None}
    return {how: key for how, key in keys.items() if key is not None}


def title_key(title: str) -> int | None:
    """Equal for titles with equal words; None for a title of one word or two, which says too little."""
    words = _WORD.findall(title.lower())
    return _hash("title", " ".join(words)) if len(words) >= LEAST_WORDS_OF_A_KEY else None


def link_key(url: str) -> int | None:
    """Equal for links to the same thing: scheme, www and a fragment do not matter. None for a link without a path.

    The link of a text post is its own address on Reddit, and that of a crosspost the address of the original.
    """
    link = _SCHEME.sub("", url.strip()).partition("#")[0].rstrip("/")
    if post := _POST_OF_REDDIT.search(link):
        return _hash("post", post[1])
    host, _, path = link.partition("/")
    return _hash("link", f"{host.lower()}/{path}") if path else None


def _hash(kind: str, text: str) -> int:
    return int.from_bytes(blake2b(f"{kind}:{text}".encode(), digest_size=8).digest(), "big")


def _heaviest(weights: Mapping[str, float], count: int) -> list[str]:
    """The words of the largest weights, the largest first; of equal ones the first in the alphabet."""
    return sorted(weights, key=lambda word: (-weights[word], word))[:count]
