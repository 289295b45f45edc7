"""A short run of `make chaos`: most kinds of faults, once each. Recovery times are printed, not asserted.

SIGNALFLOW_TEST_SEED repeats a run. The logs of a failed run are in pytest's temporary directory of the test.
"""

import os
import random
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.run import run_seed

SEED = int(os.environ.get("SIGNALFLOW_TEST_SEED", random.SystemRandom().randrange(10**6)))
FAULT_MINUTES = 1.6

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.timeout(900)]


async def test_nothing_is_lost_doubled_or_wrong_while_everything_fails(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    result = await run_seed(SEED, FAULT_MINUTES, tmp_path, short=True, say=print)
    print(report.text(result))
    assert (result.lost, result.duplicated, result.wrong, result.findings) == (0, 0, 0, []), f"seed {SEED}"
    assert len({row.kind for row in result.rows if row.injections}) >= 25, "too few faults had an effect"
