"""What rules of alerts look at, and the alert that tells what a rule met. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from signalflow.alerts.messages import Alert, plain, reddit_url
from signalflow.domain.queries.evaluate import Document, document_of, host_of
from signalflow.domain.queries.tree import And, Comparison, HasSignal, Not, Or, Query
from signalflow.domain.signals.sentences import NOTHING_KNOWN, About, Signal, points_text, sentence, span_text
from signalflow.events import Enriched, EnrichedComment

# Of a comment, as its title: enough to know what it is about.
LONGEST_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is matched. `text` is its query as it was written."""

    id: UUID
    name: str
    text: str
    query: Query = field(repr=False)


@dataclass(frozen=True, slots=True)
class Met:
    """What a rule may meet. `subject`: the id of the post, comment or signal. `signals`: those of a post that go on.

    `about`: what is known of the posts behind a signal.
    """

    kind: Literal["post", "comment", "signal"]
    subject: str
    subreddit: str | None
    document: Document
    title: str | None = None
    permalink: str | None = None
    created_at: datetime | None = None
    signals: Sequence[Signal] = ()
    about: About = NOTHING_KNOWN


def needs_signal(query: Query) -> bool:
    """Whether a query asks for signals."""
    return any(isinstance(leaf, HasSignal) for leaf in _leaves(query))


def _leaves(query: Query) -> Iterator[Query]:
    match query:
        case Not(part):
            yield from _leaves(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _leaves(part)
        case _:
            yield query


def met_post(row: Enriched, body: str | None, signals: Sequence[Signal] = ()) -> Met:
    """An observation of a post. `body`: its text, which an observation need not carry."""
    return stored_post(
        row.id,
        subreddit=row.subreddit,
        title=row.title,
        body=body,
        author=row.author,
        url=row.url,
        permalink=row.permalink,
        flair=row.flair,
        over_18=row.over_18,
        created_utc=row.created_utc,
        observed_at=row.observed_at,
        score=row.current_score,
        comments=row.current_comments,
        ratio=row.current_ratio,
        sentiment=row.nlp.sentiment_score,
        signals=signals,
    )


def stored_post(
    id_: str,
    *,
    subreddit: str,
    title: str,
    body: str | None,
    author: str | None,
    url: str | None,
    permalink: str | None,
    flair: str | None,
    over_18: bool | None,
    created_utc: datetime,
    observed_at: datetime,
    score: int | None,
    comments: int | None,
    ratio: float | None,
    sentiment: float | None,
    signals: Sequence[Signal] = (),
) -> Met:
    """A post as it was at `observed_at`, in the names of its table."""
    document = document_of(
        "post",
        title,
        body or "",
        subreddit=subreddit,
        author=author,
        domain=host_of(url),
        flair=flair,
        over_18=over_18,
        score=score,
        comments=comments,
        sentiment=sentiment,
        ratio=ratio,
        age=(observed_at - created_utc).total_seconds(),
        signals=[signal.kind for signal in signals],
    )
    address = permalink or f"/comments/{id_}/"
    return Met("post", id_, subreddit, document, title, address, created_utc, signals)


def met_comment(row: EnrichedComment) -> Met:
    """An observation of a comment."""
    comment = row.comment
    body = comment.body or ""
    document = document_of(
        "comment",
        body,
        subreddit=row.subreddit,
        author=comment.author,
        score=comment.score,
        sentiment=row.sentiment.score if row.sentiment else None,
        age=(row.observed_at - comment.created_utc).total_seconds(),
    )
    address = comment.permalink or f"/comments/{comment.post_id}/_/{comment.id}/"
    return Met("comment", comment.id, row.subreddit, document, _excerpt(body), address, comment.created_utc)


def met_signal(id_: str, signal: Signal, about: About = NOTHING_KNOWN) -> Met:
    """A signal that is about no single post. It has no text, so a rule meets it by its kind and its subreddit."""
    document = document_of("post", subreddit=signal.subreddit or "", signals=[signal.kind])
    address = f"/r/{signal.subreddit}/" if signal.subreddit else None
    return Met("signal", id_, signal.subreddit, document, permalink=address, signals=[signal], about=about)


def _excerpt(text: str) -> str | None:
    line = plain(text)
    return line if len(line) <= LONGEST_EXCERPT else f"{line[: LONGEST_EXCERPT - 1]}…"


def alert_of(met: Met, rule: Rule, id_: UUID, matched_at: datetime) -> Alert:
    """The alert of a match with this id, which is the same whenever it is told."""
    return Alert(
        id=f"alert_{id_.hex}",
        rule=rule.name,
        kind=met.kind,
        subject=met.subject,
        subreddit=met.subreddit,
        title=met.title,
        sentence=_why(met, rule),
        url=reddit_url(met.permalink),
        numbers=_numbers(met, rule),
        created_at=met.created_at,
        matched_at=matched_at,
    )


def _why(met: Met, rule: Rule) -> str:
    asked = {leaf.signal for leaf in _leaves(rule.query) if isinstance(leaf, HasSignal)}
    for signal in met.signals:
        if signal.kind in asked:
            return sentence(signal, met.about)
    document = met.document
    told = [] if document.score is None else [points_text(document.score)]
    if document.comments is not None:
        told.append(f"{document.comments:,} {'comment' if document.comments == 1 else 'comments'}")
    having = f" with {' and '.join(told)}" if told else ""
    age = f", {span_text(document.age)} old," if document.age is not None else ""
    return f"A {met.kind} in r/{met.subreddit}{having}{age} meets “{rule.text}”."


def _numbers(met: Met, rule: Rule) -> dict[str, int | float | None]:
    if met.kind == "signal":
        (signal,) = met.signals
        return {"strength": signal.strength, "observed": signal.observed, "expected": signal.expected}
    usual = ("score", "comments") if met.kind == "post" else ("score",)
    compared = [leaf.number for leaf in _leaves(rule.query) if isinstance(leaf, Comparison)]
    return {name: getattr(met.document, name) for name in dict.fromkeys([*usual, *compared])}
