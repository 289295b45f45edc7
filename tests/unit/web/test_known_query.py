"""No query parameter is ignored: each is known to its endpoint, and is given as often as it counts."""

import httpx
import pytest
from fastapi.routing import APIRoute

from web.api.known_query import query_of
from web.app import OPEN, WITHIN

ROUTES = [
    route
    for router in (*OPEN, *(router for router, _ in WITHIN))
    for route in router.routes
    if isinstance(route, APIRoute) and route.include_in_schema
]
PATHS = sorted(
    route.path.replace("{id}", "1abc").replace("{name}", "rust").replace("{letter_id}", "1")
    for route in ROUTES
    if "GET" in (route.methods or ())
)


@pytest.mark.parametrize("path", PATHS)
async def test_every_endpoint_refuses_a_parameter_that_it_does_not_know(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, params={"nothing_of_ours": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "nothing_of_ours")


@pytest.mark.slow
async def test_what_an_endpoint_takes_is_what_its_document_says(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/api/openapi.json")).json()["paths"]
    assert ROUTES
    for route in ROUTES:
        for method in route.methods or ():
            parameters = paths[route.path][method.lower()].get("parameters", [])
            queries = [each for each in parameters if each["in"] == "query"]
            known = query_of(route)
            assert known.names == {each["name"] for each in queries}, route.path
            assert known.lists == {each["name"] for each in queries if each["schema"].get("type") == "array"}


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        ("/api/posts/", "author", ["a", "b"]),
        ("/api/stats/", "window", ["1h", "1h"]),
        ("/api/subreddits/", "search", ["a", "b", "c"]),
        ("/dlq/", "page_size", ["1", "2"]),
        ("/api/stream", "trending", ["true", "false"]),
    ],
)
async def test_a_second_value_of_a_parameter_that_takes_one_is_refused(
    client: httpx.AsyncClient, path: str, name: str, values: list[str]
) -> None:
    answer = await client.get(path, params={name: values})
    fault = {"parameter": name, "message": f"may be given once, not {len(values)} times"}
    assert (answer.status_code, answer.json()["errors"]) == (422, [fault])


async def test_a_list_may_be_given_several_times(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/posts/", params={"subreddit": ["rust", "python"]})
    assert answer.status_code == 503, "it gets as far as the database, which is away"
