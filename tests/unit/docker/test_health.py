"""The program that healthchecks run."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from signalflow.local.ports import free_ports
from tests.unit.docker.compose import DOCKER


@pytest.fixture
def url() -> Iterator[str]:
    """A server that answers 200 at /ready and 503 at /starting."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ready" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def status(address: str) -> int:
    # A proxy of the container is not asked.
    proxies = {"http_proxy": f"http://127.0.0.1:{free_ports(1)[0]}"}
    return subprocess.run([sys.executable, DOCKER / "health.py", address], env=proxies, capture_output=True).returncode


def test_only_200_is_healthy(url: str) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/ready"
    assert [status(one) for one in (f"{url}/ready", f"{url}/starting", nobody, "no-address")] == [0, 1, 1, 1]
