"""Ranks that the log asks for, by the definitions alone."""

import json
from datetime import timedelta
from typing import Any

import pytest

from signalflow.enrichment import validated
from signalflow.errors import Invalid
from signalflow.verify.expect import Scope
from signalflow.verify.ranks import Ranks
from tests.unit.verify.test_expect import Topic, at


def see(topic: Topic, seconds: float, rank: Any, listing: Any = "python", post_sort: str = "hot", **more: Any) -> None:
    topic.see(seconds, **more)
    record = topic.records[-1]
    envelope = json.loads(record.value)
    envelope["metadata"] |= {"rank": rank, "listing": listing, "post_sort": post_sort}
    record.value = json.dumps(envelope).encode()


def rows(topic: Topic, scope: Scope | None = None) -> list[tuple[str, float, str, str, set[int], bool]]:
    found = topic.expected(scope or Scope()).ranks
    return [
        (id_, (moment - at(0)).total_seconds(), sort, listing, set(row.ranks), row.due)
        for row in found
        for id_, moment, sort, listing in [row.key]
    ]


def test_each_observation_in_a_listing_by_rank_leaves_a_rank_whatever_else_it_tells() -> None:
    topic = Topic()
    see(topic, 60, 3)
    topic.see(30)
    see(topic, 10, 1, post="b", score=None, post_sort="top:day")
    see(topic, 90, 2, mode="backfill")
    assert rows(topic) == [("a", 60, "hot", "python", {3}, True), ("b", 10, "top:day", "python", {1}, True)]


def test_of_two_ranks_of_one_moment_and_listing_the_first_in_the_log_counts() -> None:
    topic = Topic()
    see(topic, 60, 3)
    see(topic, 60, 4)
    see(topic, 60, 4, post_sort="rising")
    assert [row[2:5] for row in rows(topic)] == [("hot", "python", {3}), ("rising", "python", {4})]


def test_a_rank_whose_record_is_not_stored_yet_is_not_due() -> None:
    topic = Topic()
    see(topic, 60, 3)
    see(topic, 70, 4)
    assert [row[5] for row in rows(topic, Scope(stored={0: 1}))] == [True, False]


def test_of_two_partitions_either_rank_of_a_moment_may_be_stored() -> None:
    ranks = Ranks()
    for partition, rank in ((0, 3), (1, 5), (0, 4)):
        ranks.add(("a", at(1), "hot", "python"), rank, partition, due=partition == 1)
    assert [(row.ranks, row.due) for row in ranks] == [({3, 5}, True)]
    ranks.close()


@pytest.mark.parametrize(
    "given",
    [
        {"rank": 0}, {"rank": "1"}, {"rank": None}, {"listing": None}, {"listing": "a b"}, {"post_sort": "best"},
        {"rank": 1.0}, {"listing": 7}, {"rank": 2**31},
    ],
)  # fmt: skip
def test_pipeline_and_oracle_refuse_the_same_ranks(given: dict[str, Any]) -> None:
    topic = Topic()
    see(topic, 60, **({"rank": 1} | given))
    assert [letter.stage for letter in topic.expected().letters.values()] == ["validate"]
    with pytest.raises(Invalid):
        validated(topic.records[0], timedelta(hours=1))
