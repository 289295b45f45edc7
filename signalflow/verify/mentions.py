"""Bursts compared with the log of mentions: what the rule gives for all of them, from the first one on."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from signalflow.domain.signals.bursts import Burst, Mention, TermState
from signalflow.domain.signals.watch import Watch, count
from signalflow.kafka.reader import KafkaRecord
from signalflow.verify.signals import InputOracle, SignalTopic, microseconds, moment

_KEY = re.compile(rb"[0-9a-f]{16}")


class MentionOracle(InputOracle):
    """Of the records of mentions."""

    def __init__(self, topic: SignalTopic) -> None:
        super().__init__(topic.by_mention)
        self._watches: dict[int, Watch] = {}
        self._states: dict[tuple[int, str], TermState] = {}

    def changes(self, record: KafkaRecord) -> Mapping[str, Mapping[str, Any]]:
        """What the rule gives for a mention."""
        key, partition = record.key or b"", record.partition
        try:
            mention = _mention(json.loads(record.value or b""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}
        if not _KEY.fullmatch(key) or min(mention.observed_us, mention.created_us) < 0:
            return {}
        counted = count(self._watches.get(partition), key.decode(), mention, self._states_of(partition))
        self._watches[partition] = counted.watch
        self._states |= {(partition, term): state for term, state in counted.states.items()}
        now_us = counted.watch.now_us
        return {_id_of(term, change.burst): _of_burst(change.burst, now_us) for term, change in counted.changes}

    def _states_of(self, partition: int) -> Callable[[str], TermState | None]:
        return lambda term: self._states.get((partition, term))


def _mention(given: Mapping[str, Any]) -> Mention:
    return Mention(
        post=given["post_id"],
        subreddit=given["subreddit"].lower(),
        created_us=microseconds(given["created_utc"]),
        observed_us=microseconds(given["observed_at"]),
    )


def _id_of(term: str, burst: Burst) -> str:
    return f"burst-{term}-{moment(burst.start_us):%Y%m%dT%H%M%SZ}"


def _of_burst(burst: Burst, changed_us: int) -> dict[str, Any]:
    return {
        "started_at": moment(burst.start_us),
        "peak_at": moment(burst.peak_us),
        "ended_at": moment(burst.end_us),
        "changed_at": moment(changed_us),
        "strength": burst.strength,
        "observed": burst.peak,
        "expected": burst.expected,
        "post_ids": list(burst.posts),
        "inputs": burst.inputs,
    }
