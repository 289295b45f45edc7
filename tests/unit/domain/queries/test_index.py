"""The rules that a document meets, found by what they need."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.queries.evaluate import Document, condition_of, document_of
from signalflow.domain.queries.index import ANYTHING, RuleIndex, needs_of
from signalflow.domain.queries.language import parse
from signalflow.domain.queries.tree import Query
from tests.unit.domain.queries.documents import documents, queries


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(queries(), max_size=10), st.lists(documents(), max_size=5), st.data())
def test_the_index_finds_what_a_loop_over_all_rules_finds(
    rules: list[Query], found_in: list[Document], data: st.DataObject
) -> None:
    index: RuleIndex[int] = RuleIndex()
    for number, query in enumerate(rules):
        index.add(number, query)
    left = dict(enumerate(rules))
    for number in data.draw(st.sets(st.sampled_from(range(len(rules)))) if rules else st.just(set())):
        index.remove(number)
        del left[number]
    assert len(index) == len(left)
    for document in found_in:
        assert index.matches(document) == {number for number, query in left.items() if condition_of(query)(document)}


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("rocket", {("beginning", "rocket")}),
        ("ai", {("word", "ai")}),
        ("ai*", {("beginning", "ai")}),
        ("immunotherapies", {("beginning", "immunotherap")}),
        # The rarest: the title's words are counted, and an author is rarer than all.
        ('"the rocket" new', {("beginning", "rocket")}),
        ("the the* subreddit:spacex", {("subreddit", "spacex")}),
        # "it" is no keyword, and "sta" begins many.
        ("it rocket", {("beginning", "rocket")}),
        ("sta rocket", {("beginning", "rocket")}),
        ("rocket author:someone", {("author", "someone")}),
        ("rocket score>100 -toy", {("beginning", "rocket")}),
        ("kind:post signal:viral", {("signal", "viral")}),
        ("domain:example.com", {("domain", "example.com")}),
        ("flair:news", {("flair beginning", "news")}),
        ("rocket OR subreddit:spacex", {("beginning", "rocket"), ("subreddit", "spacex")}),
        ("(rocket OR new) author:someone", {("author", "someone")}),
        # By De Morgan.
        ("NOT (-rocket OR score>5)", {("beginning", "rocket")}),
        ("NOT (-rocket -engine)", {("beginning", "rocket"), ("beginning", "engine")}),
        ("rocket OR score>100", {ANYTHING}),
        ("score>100", {ANYTHING}),
        ("-rocket", {ANYTHING}),
        ("NOT (rocket engine)", {ANYTHING}),
        ("kind:post", {ANYTHING}),
        ("???", {ANYTHING}),
    ],
)
def test_a_rule_is_looked_up_by_the_rarest_that_it_needs(text: str, needs: set[tuple[str, str]]) -> None:
    assert needs_of(parse(text)) == needs


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("rocket", True),
        ("of", True),
        ("o*", True),
        ("immunotherapies", True),
        ("immunotherapists", False),
        ("subreddit:spacex", True),
        ("author:someone", True),
        ("domain:news.example.com", True),
        ("domain:example.com", True),
        ("domain:example.org", False),
        ("flair:breaking", True),
        ("flair:of", True),
        ("rocket flair:rocket", False),
        ("signal:burst", True),
        ("score>5", True),
        ("-rocket", False),
    ],
)
def test_a_rule_is_found_by_each_kind_of_need(text: str, is_met: bool) -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add(text, parse(text))
    document = document_of(
        "post",
        "Rockets and immunotherapies of Mars",
        subreddit="SpaceX",
        author="someone",
        domain="news.example.com",
        flair="Breaking of",
        score=6,
        signals=["burst"],
    )
    assert index.matches(document) == ({text} if is_met else set())


def test_a_rule_is_replaced_and_one_that_is_not_there_is_removed_in_silence() -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("mine", parse("rocket"))
    index.add("yours", parse("Rocket"))
    index.add("mine", parse("engine"))
    index.remove("unknown")
    assert index.matches(document_of("post", "Rockets", subreddit="a")) == {"yours"}
    assert index.matches(document_of("post", "Engines", subreddit="a")) == {"mine"}


def test_an_index_keeps_nothing_of_rules_that_were_removed() -> None:
    index: RuleIndex[str] = RuleIndex()
    texts = ["rocket OR mars", "Rocket OR Mars", "score>100", "mars subreddit:a"]
    for text in texts:
        index.add(text, parse(text))
    assert index.matches(document_of("post", "Mars", subreddit="a")) == {texts[0], texts[1], texts[3]}
    for text in texts:
        index.remove(text)
    assert vars(index) == vars(RuleIndex())
