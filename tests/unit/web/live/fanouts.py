"""A fan-out, its clients and their frames, for tests."""

import json
from typing import Any
from uuid import UUID

from msgspec import Struct

from web.live.clients import Client, Limits
from web.live.fanout import Fanout
from web.live.frames import OutgoingFrame
from web.live.kinds import POSTS, Kind
from web.live.records import LiveRecord

TOPIC = UUID(int=7)
LIMITS = Limits(waiting_posts=50, stall_seconds=10, heartbeat_seconds=15)


def fanout(partitions: int = 1, tail: int = 100, limits: Limits = LIMITS, kind: Kind = POSTS) -> Fanout:
    return Fanout(TOPIC, [0] * partitions, limits, tail, kind)


def ready(state: Fanout, filter_: Struct | None = None, since: list[int] | None = None) -> Client:
    client = state.join(filter_ or state._kind.filters.type(), 0.0, since)
    client.ready = True
    return client


def posts(frame: OutgoingFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(frame.text)["posts"]
    return found


def frames_of(state: Fanout, client: Client, now: float = 1.0) -> list[OutgoingFrame]:
    return [frame for receiver, frame in state.tick(now).frames if receiver is client]


def take(state: Fanout, *records: LiveRecord) -> None:
    for each in records:
        state.take(each.partition, each.offset, each)
