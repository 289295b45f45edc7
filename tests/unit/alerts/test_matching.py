"""What rules look at, and the sentence that tells why one was met."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.alerts.matching import Met, Rule, alert_of, met_comment, met_post, met_signal, needs_signal
from signalflow.alerts.messages import Alert
from signalflow.domain.queries.evaluate import condition_of
from signalflow.domain.queries.language import parse
from signalflow.domain.signals.sentences import About
from signalflow.domain.words import SignalKind, SignalSubject
from signalflow.events import Comment, Enriched, EnrichedComment, Source, TextFeatures, TextSentiment, encode

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ID = UUID(int=7)


@dataclass(frozen=True)
class GoesOn:
    kind: SignalKind = "viral"
    subject_kind: SignalSubject = "post"
    subject: str = "abc"
    subreddit: str | None = "python"
    started_at: datetime = AT
    strength: float = 0.739
    observed: float = 480.0
    expected: float = 2300.0
    inputs: dict[str, float | None] = field(default_factory=dict)


def post(**changes: Any) -> Enriched:
    fields: dict[str, Any] = {
        "id": "abc",
        "subreddit": "Python",
        "author": "Someone",
        "title": "A rocket",
        "url": "https://Blog.Example.com:8080/x",
        "permalink": "/r/Python/comments/abc/a_rocket/",
        "flair": "Big news",
        "over_18": True,
        "created_utc": AT - timedelta(minutes=12, seconds=40),
        "first_seen_at": AT,
        "observed_at": AT,
        "emitted_at": AT,
        "current_score": 1204,
        "current_comments": 1,
        "current_ratio": 0.5,
        "score_velocity": None,
        "comment_velocity": None,
        "trending_score": 0.2,
        "is_trending": False,
        "nlp": TextFeatures(sentiment_score=-0.4, sentiment_label="negative", keywords=[]),
        "removed_by": None,
        "late": False,
        "mode": "new",
        "source": Source(topic="raw", partition=0, offset=0),
    }
    return Enriched(**fields | changes)


def comment(**changes: Any) -> EnrichedComment:
    fields: dict[str, Any] = {
        "id": "c1",
        "post_id": "abc",
        "author": "Someone",
        "body": "my\nrocket",
        "created_utc": AT - timedelta(hours=3),
        "score": 1,
        "permalink": "/r/python/comments/abc/_/c1/",
    }
    sentiment = TextSentiment(score=0.6, label="positive", basis="as_written")
    return EnrichedComment(Comment(**fields | changes), "python", AT, AT, sentiment, "new")


def told(met: Met, query: str) -> Alert:
    return alert_of(met, Rule(ID, "A rule", query, parse(query)), ID, AT)


@pytest.mark.parametrize(
    "query",
    [
        "rocket subreddit:python author:someone", "domain:example.com", "domain:blog.example.com", 'flair:"big news"',
        "is:nsfw", "score>1203 comments=1 ratio=0.5 sentiment<-0.3", "age>12m age<13m", "kind:post", '"said below"',
        "signal:viral",
    ],
)  # fmt: skip
def test_a_rule_sees_everything_of_a_post(query: str) -> None:
    met = met_post(post(), "it is said below", [GoesOn()])
    assert condition_of(parse(query))(met.document)
    assert not condition_of(parse(f"-({query})"))(met.document)


@pytest.mark.parametrize(
    "query",
    ["rocket subreddit:python author:someone", "score=1", "sentiment>0.5", "age=3h", "kind:comment", "-signal:viral"],
)
def test_a_rule_sees_everything_of_a_comment(query: str) -> None:
    assert condition_of(parse(query))(met_comment(comment()).document)


def test_a_signal_of_a_subreddit_is_met_by_its_kind_and_its_subreddit_alone() -> None:
    met = met_signal("burst-x", GoesOn("burst", "subreddit", "python"))
    assert condition_of(parse("signal:burst subreddit:python"))(met.document)
    assert not condition_of(parse("python"))(met.document)


@pytest.mark.parametrize(
    ("met", "query", "sentence"),
    [
        (
            met_post(post(), None),
            "rocket score>100",
            "A post in r/Python with 1,204 points and 1 comment, 12 minutes old, meets “rocket score>100”.",
        ),
        (
            met_post(post(current_score=None, current_comments=None), None),
            "rocket",
            "A post in r/Python, 12 minutes old, meets “rocket”.",
        ),
        (met_comment(comment()), "rocket", "A comment in r/python with 1 point, 3 hours old, meets “rocket”."),
        (
            met_post(post(), None, [GoesOn("unusual_here"), GoesOn(subreddit="Python")]),
            "rocket OR signal:viral",
            "r/Python: a post with 480 points is 73 % likely to be among the best 1 % of r/Python (2,300 points or "
            "more).",
        ),
        (
            met_post(post(), None, [GoesOn()]),
            "rocket -signal:burst",
            "A post in r/Python with 1,204 points and 1 comment, 12 minutes old, meets “rocket -signal:burst”.",
        ),
        (
            met_signal("s", GoesOn("burst", "term", "8f", None, observed=12, expected=3), About(term="mars")),
            "signal:burst",
            "“mars”: 12 posts in an hour where 3 are usual.",
        ),
    ],
)
def test_the_sentence_says_why(met: Met, query: str, sentence: str) -> None:
    assert told(met, query).sentence == sentence


def test_an_alert_tells_where_it_is_and_the_numbers_that_the_rule_compares() -> None:
    alert = told(met_post(post(), None), "rocket (age<1h OR -ratio<0.2)")
    assert alert.numbers == {"score": 1204, "comments": 1, "age": 760.0, "ratio": 0.5}
    assert (alert.id, alert.subject, alert.created_at) == (f"alert_{'0' * 31}7", "abc", AT - timedelta(seconds=760))
    assert alert.url == "https://www.reddit.com/r/Python/comments/abc/a_rocket/"
    assert told(met_post(post(permalink=None), None), "rocket").url == "https://www.reddit.com/comments/abc/"
    said = told(met_comment(comment(permalink=None, body="x" * 300)), "x*")
    assert (said.url, said.numbers) == ("https://www.reddit.com/comments/abc/_/c1/", {"score": 1})
    assert said.title == f"{'x' * 199}…"
    signal = told(met_signal("s", GoesOn(subreddit=None)), "signal:viral")
    assert (signal.url, signal.title, signal.numbers["observed"]) == (None, None, 480.0)


@given(title=st.text(max_size=600), body=st.text(), rule=st.text(max_size=300))
def test_an_alert_of_whatever_strangers_wrote_can_be_stored_and_read(title: str, body: str, rule: str) -> None:
    for met in (met_post(post(title=title), body), met_comment(comment(body=body))):
        alert = alert_of(met, Rule(ID, rule, "rocket", parse("rocket")), ID, AT)
        assert msgspec.json.decode(encode(alert), type=Alert) == alert


@pytest.mark.parametrize(
    ("query", "needs"), [("rocket", False), ("a (b OR -(c signal:viral))", True), ("-signal:burst", True)]
)
def test_rules_that_ask_for_signals_are_known(query: str, needs: bool) -> None:
    assert needs_signal(parse(query)) is needs
