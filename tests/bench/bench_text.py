"""The cost of text features: our scorer against vaderSentiment on the same texts, and against hostile texts."""

import gzip
import json
import math
import random
import time
from collections.abc import Callable, Sequence

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from signalflow.domain.keywords import keywords
from signalflow.domain.sentiment import FastVader
from tests.recorded_data import recorded_data

TITLES = 2000
BODIES = 200
HOSTILE_CHARACTERS = 40_000
ROUNDS = 7


def bench_text() -> dict[str, float | str]:
    """CPU microseconds per text, how much faster our scorer is, and CPU milliseconds of the worst hostile body.

    The texts are real where there are any (`tests/recorded_data.py`), else generated with the same
    lengths.
    """
    titles, bodies, source = _texts()
    original, fast = SentimentIntensityAnalyzer(), FastVader()
    result: dict[str, float | str] = {"texts": source}
    for name, texts in (("title", titles), ("body", bodies)):
        slow_us, fast_us = _microseconds(texts, original.polarity_scores, fast.polarity_scores)
        result |= {
            f"vader_{name}_us": round(slow_us, 1),
            f"fast_vader_{name}_us": round(fast_us, 1),
            f"fast_vader_{name}_ratio": round(slow_us / fast_us, 1),
        }
    result["keywords_title_us"] = round(_microseconds(titles, keywords)[0], 1)
    worst = {name: _microseconds([text], fast.polarity_scores)[0] / 1000 for name, text in hostile_bodies().items()}
    name = max(worst, key=lambda kind: worst[kind])
    return result | {"fast_vader_hostile_ms": round(worst[name], 1), "fast_vader_hostile_text": name}


def hostile_bodies() -> dict[str, str]:
    """Bodies of the maximal length on Reddit, each made to be as expensive as possible."""
    stock = SentimentIntensityAnalyzer()
    emoji = sorted(emoji for emoji in stock.emojis if len(emoji) == 1)
    loaded = sorted(emoji, key=lambda one: -sum(word in stock.lexicon for word in stock.emojis[one].split()))[:60]
    pieces = {
        "negations": "not good ",
        "contrasts": "good bad but ",
        "shortest words": "no l ",
        "capitals": "NO l ",
        "emoji of five words": "😂",
        "emoji with a but": "😥",
    }
    bodies = {name: (piece * HOSTILE_CHARACTERS)[:HOSTILE_CHARACTERS] for name, piece in pieces.items()}
    bodies["mixed emoji after a but"] = "but " + "".join(random.Random(1).choices(loaded, k=HOSTILE_CHARACTERS - 4))
    return bodies


def _texts() -> tuple[list[str], list[str], str]:
    path = recorded_data() / "real_posts_2013.ndjson.gz"
    if not path.exists():
        return _made_texts(TITLES, 12), _made_texts(BODIES, 130), "made"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        posts = [json.loads(line) for line in lines]
    titles = [post["title"] for post in posts]
    bodies = [post["selftext"] for post in posts if post["selftext"]]
    return titles[:: len(titles) // TITLES], bodies[:: len(bodies) // BODIES], "real"


def _made_texts(count: int, words: int) -> list[str]:
    rng = random.Random(3)
    lexicon = sorted(SentimentIntensityAnalyzer().lexicon)
    plain = [f"word{number}" for number in range(3000)]
    return [
        " ".join(rng.choice(lexicon) if rng.random() < 0.07 else rng.choice(plain) for _ in range(words))
        for _ in range(count)
    ]


def _microseconds(texts: Sequence[str], *functions: Callable[[str], object]) -> list[float]:
    """The CPU time of each function per text: the best of some rounds, so that other processes hardly disturb it.

    The functions take turns.
    """
    best = [math.inf] * len(functions)
    for _ in range(ROUNDS):
        for index, function in enumerate(functions):
            start = time.process_time()
            for text in texts:
                function(text)
            best[index] = min(best[index], time.process_time() - start)
    return [seconds / len(texts) * 1e6 for seconds in best]


if __name__ == "__main__":
    print(json.dumps(bench_text(), indent=2))
