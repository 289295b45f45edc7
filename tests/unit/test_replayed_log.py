"""What `signalflow replay` does to tables and states, whatever the log and the stretch: nothing."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.integration.storage_oracle import Oracle
from tests.unit.test_enrichment import Numbers, enriched, told, untold

# Up to 30 observations in any order, more than a state keeps; some are of the same moment, some tell no numbers.
logs = st.lists(st.tuples(st.integers(0, 60).map(lambda n: n * 20), told | untold), min_size=1, max_size=30)


def tables(log: list[tuple[int, Numbers]]) -> tuple[Any, ...]:
    """The tables after a log, and the post's state."""
    oracle = Oracle()
    rows, state = enriched(log)
    for row in rows:
        oracle.apply(row)
    return oracle.posts, oracle.history, oracle.sentiment, state


@given(logs, st.data())
def test_a_stretch_that_is_sent_again_changes_no_table_and_no_state(
    log: list[tuple[int, Numbers]], data: st.DataObject
) -> None:
    begin = data.draw(st.integers(0, len(log) - 1))
    end = data.draw(st.integers(begin, len(log)))
    assert tables(log + log[begin:end]) == tables(log)
    # Twice, and with an observation after it.
    new = (2_000, (77, 3))
    assert tables([*log, *log[begin:end], *log[begin:end], new]) == tables([*log, new])
