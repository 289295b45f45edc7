"""The programs to copy say in one sentence what is missing, and do not hammer a server that is away."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
AWAY = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        (["api_client.py"], "", "API_KEY is not set: make one with `signalflow key create admin --scope read`"),
        (["api_client.py", "--address", f"http://{AWAY}"], "k", f"http://{AWAY} does not answer: give --address"),
        (["consumer.py", "--kafka", AWAY], "", f"Kafka at {AWAY} does not answer: give --kafka"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(words: list[str], key: str, said: str) -> None:
    program, *options = words
    done = subprocess.run(
        [sys.executable, EXAMPLES / program, *options],
        env=os.environ | {"API_KEY": key},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(said)
    assert "Traceback" not in done.stderr


@pytest.fixture
def api_client() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_client", EXAMPLES / "api_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(*given: httpx.Response | Exception) -> httpx.Client:
    """A client that gets these, one after the other."""
    left: Iterator[httpx.Response | Exception] = iter(given)

    def answer(_: httpx.Request) -> httpx.Response:
        one = next(left)
        if isinstance(one, Exception):
            raise one
        return one

    return httpx.Client(base_url="http://api", transport=httpx.MockTransport(answer))


FRAME = httpx.Response(200, text='id: 7\ndata: {"posts": [{"id": "a"}]}\n\n')


@pytest.mark.parametrize(
    ("first", "waited"),
    [
        (httpx.ConnectError("refused"), 1.0),
        (httpx.Response(503, headers={"Retry-After": "4"}), 4.0),
        (httpx.Response(429, headers={"Retry-After": "9"}), 9.0),
        (httpx.Response(502), 1.0),
    ],
)
def test_the_client_waits_before_it_comes_back(
    api_client: ModuleType, first: httpx.Response | Exception, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(api_client.time, "sleep", pauses.append)
    assert next(api_client.live(answers(first, FRAME))) == {"id": "a"}
    assert pauses == [waited]


def test_the_client_ends_when_the_stream_refuses_what_it_asks(api_client: ModuleType) -> None:
    refused = httpx.Response(422, json={"detail": "autor is not known"}, headers={"x-request-id": "r1"})
    with pytest.raises(SystemExit, match=r"autor is not known \(request r1\)"):
        next(api_client.live(answers(refused)))
