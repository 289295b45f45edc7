"""A consumer to copy: prints the records of a topic and resumes where it stopped.

    python examples/consumer.py --kafka 127.0.0.1:9403 --topic reddit.posts.enriched --group my-group

It is at-least-once: a record may come again after a crash. Write records elsewhere idempotently: `id` and `observed_at`
of an enriched record name an observation. Any program may write to a topic: what does not fit docs/schemas/ is named
and passed over. Needs aiokafka and jsonschema-rs.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

import jsonschema_rs
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

FILES = (Path(__file__).parents[1] / "docs" / "schemas").glob("*.json")
VALIDATORS = {file.stem: jsonschema_rs.validator_for(json.loads(file.read_text())) for file in FILES}


def checked(value: bytes) -> dict[str, object]:
    """The record with this value. Raises ValueError, which says why it is none."""
    record = json.loads(value)
    if not isinstance(record, dict):
        raise ValueError("is no object")
    kind = f"{record.get('entity_type', 'enriched_submission')}.v{record.get('schema_version', 1)}"
    if kind not in VALIDATORS:
        raise ValueError(f"has no schema: {kind[:80]}")
    VALIDATORS[kind].validate(record)
    return record


def handle(key: str, record: dict[str, object]) -> None:
    """What happens with one record. Replace it by your own work."""
    print(key, json.dumps(record, ensure_ascii=False)[:200], flush=True)


async def consume(kafka: str, topic: str, group: str, most: float) -> None:
    """Handle records until SIGINT or SIGTERM, or until `most` records were read."""
    stop = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    options = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "isolation_level": "read_committed"}
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, group_id=group, **options)
    try:
        await consumer.start()
        while not stop.is_set() and most > 0:
            batch = await consumer.getmany(timeout_ms=500, max_records=int(min(most, 500)))
            for record in (record for records in batch.values() for record in records):
                try:
                    handle((record.key or b"").decode(), checked(record.value or b""))
                except ValueError as error:
                    reason = " ".join(str(error).split())[:200]
                    print(f"{topic}/{record.partition}/{record.offset}: {reason}", file=sys.stderr)
                most -= 1
            if batch:
                await consumer.commit()
    except KafkaConnectionError:
        raise SystemExit(f"Kafka at {kafka} does not answer: give --kafka, or start it") from None
    finally:
        await consumer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", default="127.0.0.1:9403", help="host:port of a broker; `make up` uses the default")
    parser.add_argument("--topic", default="reddit.posts.enriched")
    parser.add_argument("--group", default="example", help="consumers of one group share the partitions")
    parser.add_argument("--most", type=float, default=float("inf"), help="end after so many records")
    given = parser.parse_args()
    asyncio.run(consume(given.kafka, given.topic, given.group, given.most))


if __name__ == "__main__":
    main()
