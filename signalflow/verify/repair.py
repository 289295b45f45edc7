"""Writes records again whose rows are missing, so that the pipeline stores them once more.

An enriched record is sent to its topic again, byte for byte, so its velocity stays what it was. Where the enriched
topic no longer has it, the raw record is sent again. So are all records of a comment that is missing. The tables take a
repeated record once.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.reader import KafkaRecord
from signalflow.settings import Settings
from signalflow.verify.contract import observed, observed_comment
from signalflow.verify.json_checks import RefusedRecordError
from signalflow.verify.log import TopicLog
from signalflow.verify.report import Missing, Observation
from signalflow.verify.run import Topics, rules_of

RECORDS_AT_ONCE = 500


@dataclass
class Repair:
    """Records to be sent again, by topic. `in_no_topic`: observations and dead letters that no topic has any more."""

    records: dict[str, list[KafkaRecord]] = field(default_factory=dict)
    in_no_topic: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The number of records by topic."""
        return {topic: len(records) for topic, records in self.records.items() if records}


async def plan(settings: Settings, topics: Topics, missing: Missing) -> Repair:
    """What must be sent again for these rows. Raises like `verify`."""
    log, repair = TopicLog(settings, settings.app_id), Repair()
    wanted, posts = set(missing.observations), missing.posts
    most_ahead = timedelta(minutes=rules_of(settings).ahead_minutes)
    found: set[Observation] = set()
    if wanted or posts:
        enriched = repair.records[topics.posts_enriched] = []
        async for record in _records(log, topics.posts_enriched):
            row = _enriched_row(record)
            if row and row not in found and (row in wanted or row[0] in posts):
                found.add(row)
                enriched.append(record)
        raw = repair.records[topics.posts_raw] = []
        async for record in _records(log, topics.posts_raw):
            with suppress(RefusedRecordError):
                seen = observed(record, most_ahead)
                row = seen.id, seen.observed_at
                if row not in found and (row in wanted or seen.id in posts):
                    found.add(row)
                    raw.append(record)
    if missing.comments:
        repair.records[topics.comments_raw] = [
            record
            async for record in _records(log, topics.comments_raw)
            if _comment_id(record, most_ahead) in missing.comments
        ]
    if missing.letters:
        repair.records[topics.posts_dlq] = [
            record
            async for record in _records(log, topics.posts_dlq)
            if (record.partition, record.offset) in missing.letters
        ]
    repair.in_no_topic = [f"{post_id} at {at.isoformat()}" for post_id, at in sorted(wanted - found)]
    repair.in_no_topic += [
        f"the dead letter of {topic} partition {partition} offset {offset}"
        for topic, partition, offset in sorted(missing.without_letter)
    ]
    return repair


async def apply(settings: Settings, repair: Repair) -> None:
    """Send the records again, in log order. Raises Retryable when the brokers are away: run it all again then."""
    producer = ConfirmedProducer(settings, f"{settings.app_id}-repair")
    try:
        for topic, records in repair.records.items():
            for begin in range(0, len(records), RECORDS_AT_ONCE):
                batches: dict[int, list[Outgoing]] = {}
                for record in records[begin : begin + RECORDS_AT_ONCE]:
                    headers = [(name, bytes(value or b"")) for name, value in record.headers]
                    batches.setdefault(record.partition, []).append(Outgoing(record.key, record.value, headers))
                await producer.send(topic, batches)
    finally:
        await producer.close()


async def _records(log: TopicLog, topic: str) -> AsyncIterator[KafkaRecord]:
    async for records in log.records(topic, await log.extent(topic)):
        for record in records:
            yield record


def _comment_id(record: KafkaRecord, most_ahead: timedelta) -> str | None:
    with suppress(RefusedRecordError):
        return observed_comment(record, most_ahead).id
    return None


def _enriched_row(record: KafkaRecord) -> Observation | None:
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        row = json.loads(record.value or b"")
        return str(row["id"]), datetime.fromisoformat(row["observed_at"]).astimezone(UTC)
    return None
