"""Signals compared with the logs: of each its newest record that is stored, and what the rule gives for the inputs.

The rules themselves are the pipeline's own (`signalflow/domain/signals/`): this checks that each observation was
counted once, in the order of the log, and that nothing was lost on the way. It does not check the rules. Bursts follow
from the log of mentions (`mentions.py`), all others from that of signal inputs.

Three things are compared, as far as the logs tell:
- The table with the topic of signals. Of the records of a signal the one with the newest observation counts; of several
  of one moment, the one whose input has the highest offset.
- The topic of signals with what the rule gives for all inputs, from the first one on. Only where both topics still have
  all records that they ever had, and no log was found broken: otherwise what was known before is not known here.
- Each row with itself: strength and expectation follow from the numbers that are stored beside them.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from signalflow.domain.signals import bursts, subreddit, tails
from signalflow.domain.signals.subreddit import Change, Seen, SubredditState
from signalflow.kafka.reader import KafkaRecord, Offsets
from signalflow.verify.expect import below, same_number
from signalflow.verify.report import TableReport

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# The kind of error of a record whose outputs the brokers do not take.
REFUSED = "Refused"
# The kind of signals that follow from mentions of terms.
BURST = "burst"

# Partition and offset of a record.
Place = tuple[int, int]
Follow = Callable[[SubredditState | None, str, Seen], tuple[SubredditState, tuple[Change, ...]]]
RULE: Follow = subreddit.follow


class Told(NamedTuple):
    """A signal as a record or a row tells it, under the names of the columns."""

    id: str
    kind: str
    rule_version: int
    subject_kind: str
    subject: str
    subreddit: str | None
    started_at: datetime
    peak_at: datetime
    ended_at: datetime | None
    changed_at: datetime
    strength: float
    observed: float
    expected: float
    post_ids: list[str]
    inputs: dict[str, float | None]
    source_partition: int
    source_offset: int

    @property
    def age(self) -> tuple[datetime, int]:
        """The record of a signal with the greatest age counts."""
        return self.changed_at, self.source_offset


STATEMENT = f"SELECT {', '.join(Told._fields)} FROM signals ORDER BY id"  # noqa: S608, names of columns
_TIMES = ("started_at", "peak_at", "ended_at", "changed_at")
_OF_RULE = ("started_at", "peak_at", "ended_at", "changed_at", "strength", "observed", "expected", "post_ids", "inputs")


@dataclass
class SignalTopic:
    """What the topic of signals holds.

    `told`: the records of each signal. `due`: of each the greatest age that must be stored. `by_input` and
    `by_mention`: what the topic has of each record of signal inputs, and of mentions, by the ids of the signals.
    `versions`: of the rules, with the kinds.
    """

    told: dict[str, list[Told]] = field(default_factory=dict)
    due: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    by_input: dict[Place, dict[str, Told]] = field(default_factory=dict)
    by_mention: dict[Place, dict[str, Told]] = field(default_factory=dict)
    versions: set[tuple[str, int]] = field(default_factory=set)

    def take(self, record: KafkaRecord, stored: Offsets, set_aside: Container[Place]) -> None:
        """Take one record. Those below `stored` must be in the table, unless they have a dead letter."""
        try:
            told = _told(json.loads(record.value or b""))
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        self.told.setdefault(told.id, []).append(told)
        of_log = self.by_mention if told.kind == BURST else self.by_input
        of_log.setdefault((told.source_partition, told.source_offset), {})[told.id] = told
        self.versions.add((told.kind, told.rule_version))
        is_due = below(stored, record.partition, record.offset) and (record.partition, record.offset) not in set_aside
        if is_due and (told.id not in self.due or told.age > self.due[told.id]):
            self.due[told.id] = told.age


def _told(value: Mapping[str, Any]) -> Told:
    source = value["source"]
    flat = {**value, "source_partition": source["partition"], "source_offset": source["offset"]}
    times = {name: None if flat[name] is None else datetime.fromisoformat(flat[name]) for name in _TIMES}
    return Told(**{name: times.get(name, flat[name]) for name in Told._fields})


class InputOracle(ABC):
    """Takes the records of a log one by one, and compares the signals that each must have changed with those it did.

    Each partition's records come in offset order, from the first that there ever was. `by_record`: what the topic of
    signals has of each.
    """

    def __init__(self, by_record: dict[Place, dict[str, Told]]) -> None:
        self._by_record = by_record
        self.table = TableReport()

    @abstractmethod
    def changes(self, record: KafkaRecord) -> Mapping[str, Mapping[str, Any]]:
        """What the rule gives for a record: by the ids of the signals, the columns that it computes."""

    def take(self, record: KafkaRecord, done: Offsets, set_aside: Mapping[Place, str]) -> None:
        """Compare what the topic has of one record. Below `done` all signals of a record have been sent.

        `set_aside`: records that have a dead letter, with its kind of error. One whose signals the brokers refused
        counted; another one did not.
        """
        place = record.partition, record.offset
        found = self._by_record.pop(place, {})
        self.table.found += len(found)
        error = set_aside.get(place)
        wanted = self.changes(record) if error in (None, REFUSED) else {}
        if error is not None:
            self.table.unchecked += len(found)
            return
        is_due = below(done, *place)
        self.table.expected += len(wanted) if is_due else 0
        for id_, change in wanted.items():
            if id_ in found:
                differ = _columns_that_differ(change, found[id_])
                if differ:
                    self.table.note("wrong", f"{id_} of input {place}: {', '.join(differ)}")
            elif is_due:
                self.table.note("missing", f"{id_} of input {place}")
        for id_ in found.keys() - wanted.keys():
            self.table.note("extra", f"{id_} of input {place}")


class SignalOracle(InputOracle):
    """Of the records of signal inputs."""

    def __init__(self, topic: SignalTopic, follow: Follow = RULE) -> None:
        super().__init__(topic.by_input)
        self._follow = follow
        self._states: dict[tuple[int, str], SubredditState] = {}
        # By partition of the inputs, subreddit and partition of the raw topic: the newest observation that counted.
        self._counted: dict[tuple[int, str, int], int] = {}

    def changes(self, record: KafkaRecord) -> Mapping[str, Mapping[str, Any]]:
        """What the rule gives for an observation."""
        return {_id_of(change): _of_change(change) for change in self._changes(record)}

    def _changes(self, record: KafkaRecord) -> Sequence[Change]:
        try:
            given = json.loads(record.value or b"")
            name = given["subreddit"].lower()
            seen, raw, offset = _seen(given), given["source"]["partition"], given["source"]["offset"]
            if record.key != name.encode() or min(seen.observed_us, seen.created_us) < 0:
                return ()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ()
        key, of_raw = (record.partition, name), (record.partition, name, raw)
        if offset <= self._counted.get(of_raw, -1):
            return ()
        try:
            self._states[key], changes = self._follow(self._states.get(key), name, seen)
        except Exception:  # noqa: BLE001 - a defect of the rule makes a dead letter of the record, and changes nothing
            return ()
        self._counted[of_raw] = offset
        return changes


def _seen(given: Mapping[str, Any]) -> Seen:
    return Seen(
        post_id=given["post_id"],
        created_us=microseconds(given["created_utc"]),
        observed_us=microseconds(given["observed_at"]),
        is_discovery=given["is_discovery"],
        score=given["score"],
        comments=given["comments"],
        ratio=given["ratio"],
        score_velocity=given["score_velocity"],
        is_late=given["late"],
        is_taken_away=given["taken_away"],
        is_backfill=given["mode"] == "backfill",
        is_listed=subreddit.is_listed(
            given["mode"], microseconds(given["appended_at"]) - microseconds(given["observed_at"])
        ),
    )


def microseconds(text: str) -> int:
    """A time of a record, in microseconds since 1970."""
    return (datetime.fromisoformat(text) - _BEGIN) // _MICROSECOND


def moment(microseconds: int | None) -> datetime | None:
    """The inverse of microseconds."""
    return None if microseconds is None else _BEGIN + microseconds * _MICROSECOND


def _id_of(change: Change) -> str:
    begun = f"-{moment(change.started_us):%Y%m%dT%H%M%SZ}" if change.subject_kind == "subreddit" else ""
    return f"{change.kind}-{change.subject}{begun}"


def _of_change(change: Change) -> dict[str, Any]:
    return {
        "started_at": moment(change.started_us),
        "peak_at": moment(change.peak_us),
        "ended_at": moment(change.ended_us),
        "changed_at": moment(change.changed_us),
        "strength": change.strength,
        "observed": change.observed,
        "expected": change.expected,
        "post_ids": list(change.post_ids),
        "inputs": change.inputs,
    }


def _columns_that_differ(wanted: Mapping[str, Any], found: Told) -> list[str]:
    return [name for name in _OF_RULE if not _same(getattr(found, name), wanted[name])]


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_same(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return same_number(float(found), float(wanted))
    return bool(found == wanted)


async def compare_signals(
    rows: AsyncIterable[Any], topic: SignalTopic, *, certain_after: datetime | None, kept_from: datetime
) -> TableReport:
    """Compare `rows` of STATEMENT with the topic of signals.

    `certain_after`: rows that changed before may be of records that the topic no longer has; None when it has all.
    Retention may have removed what changed before `kept_from`.
    """
    table = TableReport(expected=len(topic.due))
    due = dict(topic.due)
    async for row in rows:
        table.found += 1
        found = Told(**{**dict(row), "inputs": json.loads(row["inputs"])})
        wanted_age = due.pop(found.id, None)
        differ = _wrong_in_itself(found)
        records = [told for told in topic.told.get(found.id, ()) if told.age == found.age]
        if differ:
            table.note("wrong", f"{found.id}: {differ}")
        elif wanted_age is not None and found.age < wanted_age:
            table.note("wrong", f"{found.id}: an older record of the signal")
        elif records:
            columns = min((_fields_that_differ(told, found) for told in records), key=len)
            if columns:
                table.note("wrong", f"{found.id}: {', '.join(columns)}")
        elif certain_after is None or found.changed_at > certain_after:
            table.note("extra", found.id)
        else:
            table.unchecked += 1
    for id_, (changed_at, _) in sorted(due.items()):
        if changed_at > kept_from:
            table.note("missing", id_)
        else:
            table.expected -= 1
    return table


def _fields_that_differ(wanted: Told, found: Told) -> list[str]:
    return [name for name, value in wanted._asdict().items() if not _same(getattr(found, name), value)]


def _wrong_in_itself(found: Told) -> str:
    """What does not follow from the numbers that are stored; empty when all does, or this version cannot tell."""
    rule = _RULES.get((found.kind, found.subject_kind))
    if rule is None or not _oldest_known(found.kind) <= found.rule_version <= _newest(found.kind):
        return ""
    try:
        numbers = rule(found)
        for name, wanted in numbers.items():
            value: Any = getattr(found, name) if name in Told._fields else found.inputs[name]
            if not same_number(value, wanted):
                return f"{name} {value}, is {wanted}"
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return "inputs that give no strength"
    return ""


def _bursting(found: Told) -> Mapping[str, float]:
    """The same of a term that is told in more posts than its past explains, and the chance of what was noticed."""
    inputs: Any = found.inputs
    expected = bursts.expectation(inputs["past_posts"], inputs["past_hours"])
    return {
        "observed": inputs["peak"],
        "expected": expected.mean,
        "chance": bursts.chance(int(inputs["observed"]), expected),
        "strength": inputs["peak"] / expected.mean,
    }


def _busy(found: Told) -> Mapping[str, float]:
    """Strength and expectation of a subreddit that has more posts than usual, from its inputs."""
    mean: Any = found.inputs["mean"]
    variance: Any = found.inputs["variance"]
    return {"expected": mean, "strength": tails.count_sigmas(int(found.observed), mean, variance)}


def _unusual(found: Told) -> Mapping[str, float]:
    """The same of a post whose score is above the usual; scores are compared as log(1 + score)."""
    mean: Any = found.inputs["log_mean"]
    deviation: Any = found.inputs["log_sd"]
    return {
        "expected": max(math.expm1(mean), 0.0),
        "strength": (math.log1p(max(found.observed, 0.0)) - mean) / deviation,
    }


def _viral(found: Told) -> Mapping[str, float]:
    """The strength of a post that will be among the best. What the best reach does not follow from its inputs."""
    base: Any = found.inputs["log_odds_base"]
    odds = base + found.inputs["log_odds_score"] + (found.inputs["log_odds_velocity"] or 0.0)
    return {"strength": 0.5 * (1.0 + math.tanh(0.5 * odds))}


# By kind and subject: from the inputs of a signal the numbers that follow, by the names of columns or inputs.
_RULES: Mapping[tuple[str, str], Callable[[Told], Mapping[str, float]]] = {
    (BURST, "term"): _bursting,
    ("unusual_here", "subreddit"): _busy,
    ("unusual_here", "post"): _unusual,
    ("viral", "post"): _viral,
}


def of_this_rule(topic: SignalTopic, *, are_bursts: bool = False) -> bool:
    """Whether rules of this version made all signals of the topic that are bursts, or that are not."""
    versions = [(kind, version) for kind, version in topic.versions if (kind == BURST) == are_bursts]
    return all(version == _newest(kind) for kind, version in versions)


def _oldest_known(kind: str) -> int:
    return bursts.RULE if kind == BURST else subreddit.OLDEST_VERSION


def _newest(kind: str) -> int:
    return bursts.RULE if kind == BURST else subreddit.VERSION
