"""A consumer to copy: prints the records of a topic and resumes where it stopped.

    python examples/consumer.py --kafka 127.0.0.1:9403 --topic reddit.posts.enriched --group my-group

It is at-least-once: offsets are committed after the records of a batch were handled, so a record may come again after
a crash. Write records elsewhere idempotently: `id` and `observed_at` of an enriched record name an observation.
"""

import argparse
import asyncio
import json
import signal

from aiokafka import AIOKafkaConsumer


def handle(key: str, record: dict[str, object]) -> None:
    """What happens with one record. Replace it by your own work."""
    print(key, json.dumps(record, ensure_ascii=False)[:200], flush=True)


async def consume(kafka: str, topic: str, group: str, most: int | None) -> None:
    """Handle records until SIGINT or SIGTERM, or until `most` records were handled."""
    stop = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    handled = 0
    await consumer.start()
    try:
        while not stop.is_set() and (most is None or handled < most):
            batch = await consumer.getmany(timeout_ms=500, max_records=500 if most is None else most - handled)
            for records in batch.values():
                for record in records:
                    handle((record.key or b"").decode(), json.loads(record.value))
                    handled += 1
            if batch:
                await consumer.commit()
    finally:
        await consumer.stop()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kafka", default="127.0.0.1:9403", help="host:port of a broker; `make up` uses the default")
    parser.add_argument("--topic", default="reddit.posts.enriched")
    parser.add_argument("--group", default="example", help="consumers of one group share the partitions")
    parser.add_argument("--most", type=int, help="end after so many records")
    given = parser.parse_args()
    asyncio.run(consume(given.kafka, given.topic, given.group, given.most))


if __name__ == "__main__":
    main()
