"""Assignments while topics that share their partition numbers have different numbers of partitions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from faust.assignor.partition_assignor import PartitionAssignor

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.assignor import SharedCountAssignor
from signalflow.streams.workspace import claim_workspace
from tables.post_state import create_post_state

MEMBERS = ("m1", "m2")


class Cluster:
    """Metadata of a cluster: the number of partitions of each topic."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self._counts[topic])) if topic in self._counts else None


@pytest.fixture
def app(tmp_path: Path) -> Application:
    settings = Settings(state_dir=tmp_path, worker_name="w1", topic_partitions=4)
    app = create_faust_app(Application, settings, claim_workspace(settings))
    create_post_state(app, settings)
    return app


@pytest.fixture
def names(app: Application) -> TopicNames:
    return TopicNames.of(app.settings)


def counts(names: TopicNames, **changed: int) -> dict[str, int]:
    topics = ("posts_raw", "posts_enriched", "posts_dlq", "post_state_changelog")
    return (
        {getattr(names, topic): 4 for topic in topics}
        | {getattr(names, topic): count for topic, count in changed.items() if count}
        | {names.leader: 1}
    )


def assigned(
    assignors: Mapping[str, PartitionAssignor], cluster: Mapping[str, int], names: TopicNames
) -> dict[str, dict[str, set[int]]]:
    """The partitions of each member by topic, after all members took this assignment."""
    topics = {names.posts_raw, names.posts_enriched, names.posts_dlq, names.post_state_changelog, names.leader}
    metadata = {member: assignor.metadata(topics) for member, assignor in assignors.items()}
    answer = assignors[MEMBERS[0]].assign(Cluster(cluster), metadata)
    for member, assignor in assignors.items():
        assignor.on_assignment(answer[member])
    return {
        member: {topic: set(partitions) for topic, partitions in assignment.assignment}
        for member, assignment in answer.items()
    }


def together(by_member: Mapping[str, Mapping[str, set[int]]], names: TopicNames) -> set[int]:
    """The partitions that are assigned, which must be those of one member in every topic."""
    shared = (names.posts_raw, names.posts_enriched, names.posts_dlq, names.post_state_changelog)
    found: list[int] = []
    for topics in by_member.values():
        partitions = {frozenset(topics.get(topic, set())) for topic in shared if topic in topics}
        assert len(partitions) <= 1, "a worker needs the table of the records that it reads"
        found += [partition for numbers in partitions for partition in numbers]
    assert len(found) == len(set(found))
    return set(found)


def anew(app: Application, kind: type[PartitionAssignor]) -> dict[str, Any]:
    return {member: kind(app) for member in MEMBERS}


def test_partitions_that_one_topic_has_before_the_others_wait_for_them(app: Application, names: TopicNames) -> None:
    members = anew(app, SharedCountAssignor)
    assert together(assigned(members, counts(names), names), names) == {0, 1, 2, 3}
    assert together(assigned(members, counts(names, posts_raw=7), names), names) == {0, 1, 2, 3}
    all_grown = dict.fromkeys(("posts_raw", "posts_enriched", "posts_dlq", "post_state_changelog"), 7)
    assert together(assigned(members, counts(names, **all_grown), names), names) == set(range(7))


def test_a_topic_that_was_made_anew_with_fewer_partitions_is_assigned_as_far_as_it_goes(
    app: Application, names: TopicNames
) -> None:
    members = anew(app, SharedCountAssignor)
    assigned(members, counts(names), names)
    assert together(assigned(members, counts(names, post_state_changelog=2), names), names) == {0, 1}
    assert together(assigned(members, counts(names), names), names) == {0, 1, 2, 3}


def test_while_a_topic_is_missing_the_others_are_assigned(app: Application, names: TopicNames) -> None:
    members = anew(app, SharedCountAssignor)
    assigned(members, counts(names), names)
    without = counts(names)
    del without[names.posts_dlq]
    assert together(assigned(members, without, names), names) == {0, 1, 2, 3}
    assert together(assigned(members, counts(names), names), names) == {0, 1, 2, 3}


def test_while_all_topics_are_missing_nothing_of_them_is_assigned(app: Application, names: TopicNames) -> None:
    members = anew(app, SharedCountAssignor)
    assigned(members, counts(names), names)
    assert together(assigned(members, {names.leader: 1}, names), names) == set()


def test_an_assignment_begins_with_what_each_worker_has(app: Application, names: TopicNames) -> None:
    """It has the states of these partitions on its disk."""
    members = anew(app, SharedCountAssignor)
    has = assigned(members, counts(names), names)
    for member, assignor in members.items():
        metadata = assignor.metadata({names.posts_raw, names.post_state_changelog})
        begins_with = members[MEMBERS[0]]._get_client_metadata(metadata).assignment.actives
        assert {topic: set(partitions) for topic, partitions in begins_with.items()} == has[member]


def test_the_unmodified_assignor_parts_a_table_from_its_records(app: Application, names: TopicNames) -> None:
    members = anew(app, PartitionAssignor)
    assigned(members, counts(names), names)
    by_member = assigned(members, counts(names, posts_raw=7), names)
    with pytest.raises(AssertionError, match="a worker needs the table"):
        together(by_member, names)
