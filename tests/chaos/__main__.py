"""`make chaos` runs one seed of the fault suite.

Exit status 0: nothing is lost, duplicated or wrong, and recovery was in time. 1: something is, or recovery was late.
Kinds that had no time do not change the status; the last line names them.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos import report
from tests.chaos.faults import ALL
from tests.chaos.run import run_seed
from tests.chaos.schedule import FULL_MINUTES


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats a plan")
    parser.add_argument("--minutes", type=float, default=FULL_MINUTES, help="minutes of faults (default %(default)s)")
    parser.add_argument("--only", default="", help="kinds that contain one of these words, comma-separated")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--list", action="store_true", help="list the kinds and end")
    given = parser.parse_args()
    if given.list:
        print("\n".join(fault.kind for fault in ALL))
        return 0
    only = [word.strip() for word in given.only.split(",") if word.strip()]
    for word in only:
        if not any(word.lower() in fault.kind.lower() for fault in ALL):
            parser.error(f"argument --only: no kind contains {word!r}; --list shows them all")
    directory = Path(tempfile.mkdtemp(prefix=f"signalflow-chaos-{given.seed}-"))
    print(f"seed {given.seed}, logs in {directory}", flush=True)
    result: report.Summary | None = None
    try:
        result = asyncio.run(
            run_seed(given.seed, given.minutes, directory, only=only, say=lambda text: print(text, flush=True))
        )
    finally:
        good = result is not None and result.nothing_wrong and result.goals_met
        if good:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"seed {given.seed} failed; its logs stay in {directory}", file=sys.stderr)
    print(report.text(result))
    if given.json is not None:
        given.json.write_text(json.dumps(result.as_dict(), indent=2, default=str) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
