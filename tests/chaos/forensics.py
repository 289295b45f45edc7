"""For a failed run: all records of a post whose rows are wrong."""

import json
from typing import Any

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tables.post_state import decode_state
from tests.integration.workers import read_topic


async def story_of(settings: Settings, post_id: str) -> str:
    """All raw, enriched and changelog records of one post, each in order of offsets."""
    names, key = TopicNames.of(settings), post_id.encode()
    lines = []
    for record in await read_topic(settings, names.posts_raw):
        if record.key == key:
            envelope = json.loads(record.value)
            lines.append(_line("raw", record, envelope["metadata"]["observed_at"], envelope["payload"]["score"]))
    for record in await read_topic(settings, names.posts_enriched):
        if record.key == key:
            row = json.loads(record.value)
            lines.append(
                _line(
                    "enriched", record, row["observed_at"], row["score_velocity"], row["late"], row["source"]["offset"]
                )
            )
    for record in await read_topic(settings, names.post_state_changelog):
        if record.key == key:
            ring = [] if record.value is None else [o.observed_us // 10**6 for o in decode_state(record.value).ring]
            lines.append(_line("changelog", record, ring))
    return "\n".join(lines)


def _line(topic: str, record: Any, *details: Any) -> str:
    return f"{topic:10} [{record.partition}] {record.offset:7} at {record.timestamp} {' '.join(map(str, details))}"
