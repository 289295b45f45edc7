"""A client of the API to copy: walks through a list page by page, then follows the live stream.

API_KEY=... python examples/api_client.py --address http://127.0.0.1:9400 --subreddit python
"""

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx

Post = dict[str, Any]


def posts(client: httpx.Client, **filters: Any) -> Iterator[Post]:
    """All posts that match, over all pages. `next` of a page is the cursor of the page after it."""
    cursor: str | None = None
    while True:
        given = {**filters, "page_size": 200, **({"cursor": cursor} if cursor else {})}
        answer = client.get("/api/posts/", params=given)
        if answer.is_error:
            raise SystemExit(f"{answer.json()['detail']} (request {answer.headers['x-request-id']})")
        page = answer.json()
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def live(client: httpx.Client, **filters: Any) -> Iterator[Post]:
    """Observations as they come. The id of the last event resumes the stream after a lost connection."""
    last: str | None = None
    while True:
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with client.stream("GET", "/api/stream", params=filters, headers=headers) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        last = value
                    elif name == "data":
                        yield from json.loads(value).get("posts", [])
        except httpx.TransportError:
            continue


def main() -> None:
    """Read the command line and print posts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:9400")
    parser.add_argument("--subreddit", action="append", default=[])
    parser.add_argument("--live", type=int, default=0, help="then wait for so many observations of the live stream")
    given = parser.parse_args()
    headers = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
    with httpx.Client(base_url=given.address, headers=headers, timeout=30) as client:
        for post in posts(client, subreddit=given.subreddit, order="newest"):
            print("stored", post["id"], post["current_score"], post["title"], flush=True)
        if given.live:
            for number, post in enumerate(live(client, subreddit=given.subreddit), 1):
                print("live", post["id"], post["current_score"], post["title"], flush=True)
                if number == given.live:
                    return


if __name__ == "__main__":
    main()
