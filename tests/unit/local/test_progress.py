"""The progress of a stack, also while a worker restarts, Reddit refuses requests or the database is away."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from signalflow.errors import Retryable
from signalflow.local.progress import Progress, ProgressMeter

PAGE = """# TYPE signalflow_posts_discovered_total counter
signalflow_posts_discovered_total {found}
# TYPE signalflow_consumer_lag gauge
signalflow_consumer_lag{{topic="a"}} 3
signalflow_consumer_lag{{topic="b"}} 4
# TYPE signalflow_reddit_requests_last_minute gauge
signalflow_reddit_requests_last_minute 21
"""


class Worker:
    """A worker that serves the metrics page that the test has set."""

    def __init__(self) -> None:
        self.page = ""
        worker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(worker.page.encode())

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


async def test_found_posts_stay_counted_when_a_worker_restarts(worker: Worker) -> None:
    async def count() -> int:
        return 90

    meter = ProgressMeter([worker.url], count)
    shown = []
    for found in (100, 120, 5, 8):
        worker.page = PAGE.format(found=found)
        shown.append((await meter.measure()).found)
    assert shown == [100, 120, 125, 128]
    assert await meter.measure() == Progress(found=128, stored=90, lag=7, requests=21)


async def test_the_answers_of_reddit_are_shown_while_no_request_succeeds(worker: Worker) -> None:
    async def count() -> int:
        return 0

    page = """# TYPE signalflow_reddit_requests counter
signalflow_reddit_requests_total{{kind="listing",outcome="unauthorized"}} {refused}
signalflow_reddit_requests_total{{kind="token",outcome="401"}} {refused}
signalflow_reddit_requests_total{{kind="refresh",outcome="ok"}} {ok}
"""
    meter = ProgressMeter([worker.url], count)
    shown = []
    for refused, ok in ((1, 0), (2, 0), (3, 1), (3, 1)):
        worker.page = page.format(refused=refused, ok=ok)
        shown.append((await meter.measure()).trouble)
    assert shown == ["unauthorized", "unauthorized", "", ""]


async def test_values_of_what_does_not_answer_are_unknown_and_not_zero(worker: Worker) -> None:
    async def away() -> int:
        raise Retryable("the database is away")

    meter = ProgressMeter(["http://127.0.0.1:9"], away)
    assert await meter.measure() == Progress(found=0, stored=None, lag=None, requests=None)
