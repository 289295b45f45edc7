#!/usr/bin/env python3
"""Whether an address answers 200: `signalflow-health http://localhost:8000/health`. Exit status 0 or 1."""

import sys
import urllib.request

SECONDS = 4.0

try:
    # No proxy: the address is in this container.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(sys.argv[1], timeout=SECONDS) as answer:
        print(answer.read(500).decode(errors="replace"))
except (OSError, ValueError) as error:
    print(error)
    sys.exit(1)
