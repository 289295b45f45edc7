"""The AsyncAPI document against what is really sent."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest

from signalflow.clock import utcnow
from signalflow.events import DeadLetter, Envelope, Metadata, Post, encode
from signalflow.settings import Settings
from tests.unit.web.live.records import EPOCH, NOT_IN_A_FEED, comment_envelope, enriched, record
from web.api.live.asyncapi import document
from web.live.clients import Limits
from web.live.comments import CommentFilter, comment_record
from web.live.fanout import Fanout
from web.live.frames import OutgoingFrame, error_frame
from web.live.kinds import COMMENTS
from web.live.protocol import Filter, encode_frame

DOCUMENT = document(Settings(topic_prefix="here-"))


def validator(name: str) -> Any:
    payload = DOCUMENT["components"]["messages"][name]["payload"]
    return jsonschema_rs.validator_for(payload | {"components": DOCUMENT["components"]}, validate_formats=True)


def frames() -> dict[str, OutgoingFrame]:
    state = Fanout(UUID(int=1), [0], Limits(10, 10, 10), 10)
    client = state.join(Filter(), 0.0)
    client.ready = True
    state.stale_since = utcnow()
    first = record(0, 0, edited_at=EPOCH, removed_by="moderator", current_ratio=0.5)
    state.take(0, 0, first)
    return {
        "Posts": state.tick(1.0).frames[0][1],
        "Heartbeat": state.heartbeat(client),
        "Reset": state.reset(client, "expired"),
        "Error": error_frame("flood", "too many"),
    }


def frame_of_comments() -> OutgoingFrame:
    state = Fanout(UUID(int=1), [0], Limits(10, 10, 10), 10, COMMENTS)
    client = state.join(CommentFilter(), 0.0)
    client.ready = True
    state.take(0, 0, comment_record(0, 0, encode(comment_envelope())))
    state.take(0, 1, comment_record(0, 1, encode(comment_envelope(id="fed", **NOT_IN_A_FEED))))
    return state.tick(1.0).frames[0][1]


def test_a_frame_of_comments_is_as_the_document_says_and_no_frame_of_posts() -> None:
    body = json.loads(frame_of_comments().text)
    validator("Comments").validate(body)
    assert [each["id"] for each in body["comments"]] == ["c1", "fed"]
    assert not validator("Posts").is_valid(body)
    sent = {message for channel in ("socket", "events") for message in DOCUMENT["channels"][channel]["messages"]}
    assert sent == {"Posts", "Heartbeat", "Reset", "Error", "Filter"}
    validator("CommentEnvelope").validate(json.loads(encode(comment_envelope())))
    validator("CommentFilter").validate(json.loads(encode_frame(CommentFilter(post_id=["abc"], author="x"))))
    assert not validator("CommentFilter").is_valid({"type": "filter", "post_id": ["t3_abc"]})


@pytest.mark.parametrize("name", ["Posts", "Heartbeat", "Reset", "Error"])
def test_each_frame_is_as_the_document_says_and_no_other(name: str) -> None:
    body = json.loads(frames()[name].text)
    validator(name).validate(body)
    for other in {"Posts", "Heartbeat", "Reset", "Error"} - {name}:
        assert not validator(other).is_valid(body)


def test_messages_of_the_topics_and_filters_are_as_the_document_says() -> None:
    post = Post(id="abc", subreddit="u_some-one", author=None, title="T", created_utc=EPOCH, score=1, num_comments=0)
    envelope = Envelope(
        entity_type="reddit_submission",
        source="reddit",
        mode="new",
        emitted_at=EPOCH,
        payload=post,
        metadata=Metadata(subreddit="python", observed_at=EPOCH),
    )
    validator("Envelope").validate(json.loads(encode(envelope)))
    validator("Enriched").validate(json.loads(encode(enriched())))
    validator("Filter").validate(json.loads(encode_frame(Filter(subreddit=["Python"], id=["abc"]))))
    assert not validator("Filter").is_valid({"type": "filter", "ids": ["ABC"]})
    assert not validator("Filter").is_valid({"type": "filter", "ids": ["abc\n"]})


def test_a_dead_letter_has_the_headers_that_the_document_names() -> None:
    letter = DeadLetter(
        topic="t",
        partition=0,
        offset=0,
        key=None,
        value=None,
        headers=(),
        stage="decode",
        error_type="Invalid",
        error="",
        worker="w",
        failed_at=datetime.now(EPOCH.tzinfo),
        topic_id=UUID(int=1),
    )
    headers = {name: value.decode() for name, value in letter.dlq_headers()}
    jsonschema_rs.validator_for(DOCUMENT["components"]["messages"]["DeadLetter"]["headers"]).validate(headers)


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        if not isinstance(value, dict):
            return []
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]

    found = references(DOCUMENT)
    assert len(found) > 30
    for reference in found:
        place: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert DOCUMENT["channels"]["enriched"]["address"] == "here-reddit.posts.enriched"
