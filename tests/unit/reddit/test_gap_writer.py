"""What is counted when the ledger has recorded the end of a gap."""

import math
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from signalflow.domain.gaps import GapChange, Outcome
from signalflow.errors import Retryable
from signalflow.metrics import REGISTRY
from signalflow.reddit.gap_writer import FirstLookWriter, GapWriter


class OneClosed:
    """Gaps of which one was closed, until that is recorded."""

    def __init__(self, outcome: Outcome) -> None:
        gap: Any = SimpleNamespace(record=7, until=math.inf, pages=3, subreddits=("python",))
        self.change: GapChange | None = GapChange("close", gap, outcome)

    def recorded(self, record: int | None) -> None:
        self.change = None


class Ledger:
    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away

    async def close_gap(self, record: int, outcome: str, until: object) -> None:
        if self.is_away:
            raise Retryable("away")


def closed(outcome: str) -> float:
    value = REGISTRY.get_sample_value("signalflow_listing_gaps_closed_total", {"outcome": outcome})
    assert value is not None
    return value


@pytest.mark.parametrize("outcome", get_args(Outcome))
async def test_a_closed_gap_is_counted_by_its_outcome_once_the_ledger_has_it(outcome: Outcome) -> None:
    before, gaps, ledger = closed(outcome), OneClosed(outcome), Ledger(is_away=True)
    writer = GapWriter(gaps, ledger)  # type: ignore[arg-type]
    await writer.step()
    assert closed(outcome) == before
    ledger.is_away = False
    await writer.step()
    assert closed(outcome) == before + 1


async def test_the_end_of_a_first_look_back_is_no_closed_gap() -> None:
    before = closed("given_up")
    await FirstLookWriter(OneClosed("given_up"), Ledger()).step()  # type: ignore[arg-type]
    assert closed("given_up") == before
