"""A client of the API to copy: walks through a list page by page, then follows the live stream.

API_KEY=... python examples/api_client.py --address http://127.0.0.1:9400 --subreddit python
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx

Post = dict[str, Any]
# Before the next try after a lost connection, where the API names no time.
PAUSE_SECONDS = 1.0


def posts(client: httpx.Client, **filters: Any) -> Iterator[Post]:
    """All posts that match, over all pages. `next` of a page is the cursor of the page after it."""
    cursor: str | None = None
    while True:
        given = {**filters, "page_size": 200, **({"cursor": cursor} if cursor else {})}
        answer = client.get("/api/posts/", params=given)
        end_if_refused(answer)
        page = answer.json()
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def end_if_refused(answer: httpx.Response) -> None:
    """End the program with the API's reason, and the id under which its log has the request."""
    if answer.is_error:
        raise SystemExit(f"{answer.json()['detail']} (request {answer.headers['x-request-id']})")


def live(client: httpx.Client, **filters: Any) -> Iterator[Post]:
    """Observations as they come. The id of the last event resumes the stream after a lost connection."""
    last: str | None = None
    while True:
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with client.stream("GET", "/api/stream", params=filters, headers=headers) as answer:
                if answer.status_code == 429 or answer.is_server_error:
                    time.sleep(float(answer.headers.get("Retry-After", PAUSE_SECONDS)))
                    continue
                if answer.is_error:
                    answer.read()
                end_if_refused(answer)
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        last = value
                    elif name == "data":
                        yield from json.loads(value).get("posts", [])
        except httpx.TransportError:
            time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Read the command line and print posts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:9400")
    parser.add_argument("--subreddit", action="append", default=[])
    parser.add_argument("--live", type=int, default=0, help="then wait for so many observations of the live stream")
    given = parser.parse_args()
    key = os.environ.get("API_KEY")
    if not key:
        raise SystemExit("API_KEY is not set: make one with `signalflow key create admin --scope read`")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=given.address, headers=headers, timeout=30) as client:
        try:
            for post in posts(client, subreddit=given.subreddit, order="newest"):
                print("stored", post["id"], post["current_score"], post["title"], flush=True)
        except httpx.TransportError as error:
            raise SystemExit(f"{given.address} does not answer: give --address, or start it ({error})") from error
        if given.live:
            for number, post in enumerate(live(client, subreddit=given.subreddit), 1):
                print("live", post["id"], post["current_score"], post["title"], flush=True)
                if number == given.live:
                    return


if __name__ == "__main__":
    main()
