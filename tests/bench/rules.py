"""How many posts a second are matched against 10,000 rules."""

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from signalflow.domain.keywords import terms
from signalflow.domain.queries.evaluate import Document, condition_of, document_of
from signalflow.domain.queries.index import RuleIndex
from signalflow.domain.queries.language import parse
from signalflow.domain.sentiment import FastVader
from signalflow.simulator.subreddits import default_subreddits
from signalflow.simulator.text import author_name, expand
from signalflow.simulator.vocabulary import COMMON, DOMAINS, FLAIRS, GENERAL_TITLES, THEMES, terms_of
from tests.bench.statistics import quantiles
from tests.recorded_data import recorded_data

RULES = 10_000
POSTS = 5_000
# A loop over all rules takes some milliseconds a post.
LOOPED_POSTS = 20
# One rule in a hundred has nothing that could be looked up.
FORMS: tuple[tuple[int, str], ...] = (
    (20, "{word}"),
    (15, "{word} {word}"),
    (15, "{phrase}"),
    (12, "subreddit:{subreddit} {word}"),
    (10, "({word} OR {word} OR {phrase}) -{word}"),
    (8, "{word} score>{number} comments>{number}"),
    (5, "author:{author}"),
    (4, "domain:{domain} sentiment<-0.3"),
    (3, "{word} flair:{flair}"),
    (3, "(subreddit:{subreddit} OR subreddit:{subreddit}) ({word} OR signal:viral)"),
    (2, "subreddit:{subreddit} score>{number}"),
    (2, "signal:viral {word}"),
    (1, "kind:post score>{number} sentiment<-0.8"),
)


def bench_rules() -> dict[str, Any]:
    """Figures for titles of the simulator, and for real titles and bodies where there are any."""
    result = {"simulated titles": _measured(list(_simulated(Random(1), POSTS)))}
    if (recorded_data() / "real_posts_2013.ndjson.gz").exists():
        result["real titles and bodies"] = _measured(list(_real(Random(1), POSTS)))
    return result


def _measured(posts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Processor time of one core. A post's time includes what prepares it for all rules."""
    texts = _rules(posts, Random(2))
    start = time.process_time()
    queries = [parse(text) for text in texts]
    parsing = time.process_time() - start
    tracemalloc.start()
    index: RuleIndex[int] = RuleIndex()
    for number, query in enumerate(queries):
        index.add(number, query)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    conditions = [condition_of(query) for query in queries]

    def looped(document: Document) -> set[int]:
        return {number for number, condition in enumerate(conditions) if condition(document)}

    found, indexed = _timed(index.matches, posts)
    expected, in_a_loop = _timed(looped, posts[:LOOPED_POSTS])
    assert found[:LOOPED_POSTS] == expected
    return {
        "rules": len(index),
        "posts_per_s": round(len(indexed) / sum(indexed)),
        "posts_per_s_in_a_loop": round(len(in_a_loop) / sum(in_a_loop)),
        "post": quantiles([seconds * 1000 for seconds in indexed], "ms"),
        "rules_met_per_post": round(sum(map(len, found)) / len(found), 1),
        "index_mib": round(memory / 2**20, 1),
        "parse_us": round(parsing / len(texts) * 1e6),
    }


def _timed(
    matches: Callable[[Document], set[int]], posts: Sequence[dict[str, Any]]
) -> tuple[list[set[int]], list[float]]:
    """What each post meets, and the seconds of processor time of each."""
    found: list[set[int]] = []
    seconds: list[float] = []
    for post in posts:
        start = time.process_time()
        found.append(matches(document_of("post", *post["texts"], **post["fields"])))
        seconds.append(time.process_time() - start)
    return found, seconds


def _rules(posts: Sequence[dict[str, Any]], rng: Random) -> list[str]:
    """Rules of all forms. Words, phrases and names are as frequent in rules as in posts, but for stop words."""
    titles = [post["texts"][0].split() for post in posts]
    choices: dict[str, Sequence[str]] = {
        "word": [word for title in titles for word in terms(" ".join(title)) if word.isalnum()],
        "phrase": [f'"{one} {other}"' for title in titles for one, other in pairwise(title) if (one + other).isalnum()],
        "number": ["10", "100", "1000", "5000"],
        "flair": FLAIRS,
    }
    for name in ("subreddit", "author", "domain"):
        choices[name] = [post["fields"][name] for post in posts]
    shares, forms = zip(*FORMS, strict=True)
    return [_filled(form, choices, rng) for form in rng.choices(forms, shares, k=RULES)]


def _filled(form: str, choices: dict[str, Sequence[str]], rng: Random) -> str:
    pieces = form.split("{")
    rest = (piece.partition("}") for piece in pieces[1:])
    return pieces[0] + "".join(rng.choice(choices[name]) + text for name, _, text in rest)


def _simulated(rng: Random, count: int) -> Iterator[dict[str, Any]]:
    subreddits = [one for one in default_subreddits() if one.access == "public"]
    for subreddit in rng.choices(subreddits, [one.rate for one in subreddits], k=count):
        words = COMMON | {"term": terms_of(subreddit.name)}
        title = expand(rng.choice(THEMES[subreddit.theme].titles + GENERAL_TITLES), words, rng)
        yield _post(rng, [title], subreddit.name, author_name(rng), rng.choice(DOMAINS))


def _real(rng: Random, count: int) -> Iterator[dict[str, Any]]:
    with gzip.open(recorded_data() / "real_posts_2013.ndjson.gz", "rt", encoding="utf-8") as lines:
        posts = [json.loads(line) for line in lines]
    for post in rng.sample(posts, count):
        yield _post(rng, [post["title"], post["selftext"]], post["subreddit"], author_name(rng), post["domain"])


def _post(rng: Random, texts: list[str], subreddit: str, author: str, domain: str) -> dict[str, Any]:
    """A post with the texts and names given, and numbers as they are on Reddit: most scores are small."""
    return {
        "texts": texts,
        "fields": {
            "subreddit": subreddit,
            "author": author,
            "domain": domain,
            "flair": rng.choice([None, *FLAIRS]),
            "score": int(rng.paretovariate(0.6)),
            "comments": int(rng.paretovariate(0.8)),
            "sentiment": _vader.polarity_scores(texts[0])["compound"],
            "signals": ["viral"] if rng.random() < 0.02 else [],
        },
    }


_vader = FastVader()


if __name__ == "__main__":
    print(json.dumps(bench_rules(), indent=2))
