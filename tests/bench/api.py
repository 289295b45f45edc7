"""The API that is measured, started as an operator starts it."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.api_clients import test_secret

START_SECONDS = 60.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextmanager
def running_api(
    is_ready: Callable[[str, str], bool], environment: dict[str, str]
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start the API, wait until `is_ready(address, log)`, and yield its address and process. Stop it at the end."""
    command = [sys.executable, "-c", "from signalflow.cli.main import main; main()", "api", "--port", "0"]
    environment = os.environ | {"SIGNALFLOW_API_SECRET": test_secret} | environment
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                log.seek(0)
                text = log.read()
                found = _ADDRESS.search(text)
                if found and is_ready(found[0], text):
                    break
                starts = process.poll() is None and time.monotonic() < end
                assert starts, f"the API did not start:\n{text}"
                time.sleep(0.1)
            yield found[0], process
        finally:
            process.terminate()
            process.wait(30)
