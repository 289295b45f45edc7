"""Make signalflow/domain/document_frequencies.tsv.gz: the number of real titles that contain each term.

    python scripts/make_document_frequencies.py POSTS.ndjson[.gz] OUTPUT.tsv.gz --origin "..."

Each line of the input is a JSON object with a `title`. The output holds only terms and counts, no titles. The project's
file was made from 42,283 titles of umbrae/reddit-top-2.5-million (January to August 2013, ODC PDDL 1.0). The same input
gives the same bytes.
"""

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

from signalflow.domain.keywords import terms

# Terms that are only in one or two titles are left out: they count as terms that are in no title.
LEAST_TITLES = 3


def count_terms(posts: Path) -> tuple[int, Counter[str]]:
    """The number of titles, and for each term the number of titles that contain it."""
    counts: Counter[str] = Counter()
    documents = 0
    opener = gzip.open if posts.suffix == ".gz" else open
    with opener(posts, "rt", encoding="utf-8") as lines:
        for line in lines:
            counts.update(set(terms(json.loads(line)["title"])))
            documents += 1
    return documents, counts


def render(documents: int, counts: Counter[str], origin: str) -> bytes:
    """The bytes of the file, packed without a time stamp."""
    lines = [f"# documents: {documents}", f"# origin: {origin}"]
    lines += [f"{term}\t{count}" for term, count in sorted(counts.items()) if count >= LEAST_TITLES]
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=9, mtime=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--origin", required=True, help="where the titles come from, and under which licence")
    arguments = parser.parse_args()
    documents, counts = count_terms(arguments.posts)
    arguments.output.write_bytes(render(documents, counts, arguments.origin))


if __name__ == "__main__":
    main()
