"""The AsyncAPI 3 document: topics and live stream, from the types that encode and decode them."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from signalflow.events import CommentEnvelope, Enriched, Envelope
from signalflow.kafka.topics import TopicNames
from signalflow.schemas import ecma
from signalflow.settings import Settings
from signalflow.signal_events import Signal, SignalInput, TermInput
from web.api.live.subscription import parameters
from web.live.comments import COMMENT_FILTERS, CommentFilter, Comments
from web.live.protocol import POST_FILTERS, Error, Filter, FilterForm, Heartbeat, Posts, Reset
from web.live.signals import SIGNAL_FILTERS, SignalFilter, Signals

_FRAMES = (Posts, Heartbeat, Reset, Error)
_FRAMES_OF_COMMENTS = (Comments, Heartbeat, Reset, Error)
_FRAMES_OF_SIGNALS = (Signals, Heartbeat, Reset, Error)
_FILTERS = (Filter, CommentFilter, SignalFilter)
_RECORDS = (Envelope, CommentEnvelope, Enriched, SignalInput, TermInput, Signal)
_SCHEMAS = "#/components/schemas/"
_HEADERS = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("entity_type", "mode", "schema_version", "subreddit")},
}
# The headers that our agents add to a dead letter. The headers of the record that failed precede them, unchanged.
_DEAD_LETTER_HEADERS = (
    "topic",
    "partition",
    "offset",
    "stage",
    "error_type",
    "error",
    "attempt",
    "worker",
    "failed_at",
    "topic_id",
)


def document(settings: Settings) -> dict[str, Any]:
    """The document of an installation with these settings."""
    _, schemas = msgspec.json.schema_components(
        [*_FRAMES, Comments, Signals, *_FILTERS, *_RECORDS],
        ref_template=_SCHEMAS + "{name}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "signalflow",
            "version": version("signalflow"),
            "description": "The topics in Kafka, and the live stream of the API: a WebSocket or server-sent events.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "api": {
                "host": f"{settings.api_host}:{settings.api_port}",
                "protocol": "ws",
                "security": [_ref("securitySchemes", "token")],
            },
            "kafka": {"host": settings.kafka.partition(",")[0].strip(), "protocol": "kafka"},
        },
        "channels": _channels(settings),
        "operations": _operations(),
        "components": {
            "schemas": ecma(schemas),
            "messages": _messages(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token (POST /api/token/) or an API key; a browser may use its cookie.",
                }
            },
        },
    }


def _names(types: Sequence[type]) -> list[str]:
    return [type_.__name__ for type_ in types]


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _messages() -> dict[str, Any]:
    live = {
        type_.__name__: {"name": type_.__name__.lower(), "payload": _ref("schemas", type_.__name__)}
        for type_ in (*_FRAMES, Comments, Signals, *_FILTERS)
    }
    dead_letter_headers = {f"dlq_{name}": {"type": "string"} for name in _DEAD_LETTER_HEADERS}
    return live | {
        "Envelope": {
            "name": "envelope",
            "summary": "One observation of a post; the key is the post's id.",
            "headers": _HEADERS,
            "payload": _ref("schemas", "Envelope"),
        },
        "CommentEnvelope": {
            "name": "comment_envelope",
            "summary": "One observation of a comment; the key is the id of its post.",
            "headers": _HEADERS,
            "payload": _ref("schemas", "CommentEnvelope"),
        },
        "Enriched": {
            "name": "enriched",
            "summary": "An observation with velocity, text features and trending score; the key is the post's id.",
            "payload": _ref("schemas", "Enriched"),
        },
        "SignalInput": {
            "name": "signal_input",
            "summary": "What signals are computed from, of one observation; the key is the subreddit in lower case.",
            "payload": _ref("schemas", "SignalInput"),
        },
        "TermInput": {
            "name": "term_input",
            "summary": "A new post that has a term as a keyword; the key is the hash of the term.",
            "payload": _ref("schemas", "TermInput"),
        },
        "Signal": {
            "name": "signal",
            "summary": "A signal as it stands; the key is the subreddit in lower case, or the hash of a term.",
            "payload": _ref("schemas", "Signal"),
        },
        "DeadLetter": {
            "name": "dead_letter",
            "summary": "A record that could not be processed: its key, value and headers, and headers that say why.",
            "contentType": "application/octet-stream",
            "headers": {"type": "object", "properties": dead_letter_headers, "required": list(dead_letter_headers)},
        },
    }


def _channels(settings: Settings) -> dict[str, Any]:
    names = TopicNames.of(settings)

    def query(form: FilterForm) -> dict[str, Any]:
        given = [each for each in parameters(form) if each["in"] == "query"]
        return {"type": "object", "properties": {each["name"]: each["schema"] for each in given}}

    def channel(address: str, server: str, messages: list[str], **bindings: Any) -> dict[str, Any]:
        return {
            "address": address,
            "servers": [{"$ref": f"#/servers/{server}"}],
            "messages": {name: _ref("messages", name) for name in messages},
            "bindings": bindings,
        }

    kafka = {"partitions": settings.topic_partitions, "replicas": settings.topic_replication}
    frames, of_comments = _names(_FRAMES), _names(_FRAMES_OF_COMMENTS)
    of_signals = _names(_FRAMES_OF_SIGNALS)
    asked, asked_of_comments, asked_of_signals = map(query, (POST_FILTERS, COMMENT_FILTERS, SIGNAL_FILTERS))

    def live(address: str, messages: list[str], binding: str, wanted: dict[str, Any]) -> dict[str, Any]:
        return channel(address, "api", messages, **{binding: {"method": "GET", "query": wanted}})

    return {
        "socket": live("/ws/posts/", [*frames, "Filter"], "ws", asked),
        "events": live("/api/stream", frames, "http", asked),
        "commentSocket": live("/ws/comments/", [*of_comments, "CommentFilter"], "ws", asked_of_comments),
        "commentEvents": live("/api/comments/stream", of_comments, "http", asked_of_comments),
        "signalSocket": live("/ws/signals/", [*of_signals, "SignalFilter"], "ws", asked_of_signals),
        "signalEvents": live("/api/signals/stream", of_signals, "http", asked_of_signals),
        "raw": channel(names.posts_raw, "kafka", ["Envelope"], kafka=kafka),
        "comments": channel(names.comments_raw, "kafka", ["CommentEnvelope"], kafka=kafka),
        "enriched": channel(names.posts_enriched, "kafka", ["Enriched"], kafka=kafka),
        "signal_inputs": channel(names.signal_inputs, "kafka", ["SignalInput"], kafka=kafka),
        "term_inputs": channel(names.term_inputs, "kafka", ["TermInput"], kafka=kafka),
        "signals": channel(names.signals, "kafka", ["Signal"], kafka=kafka),
        "dead_letters": channel(names.posts_dlq, "kafka", ["DeadLetter"], kafka=kafka),
    }


def _operations() -> dict[str, Any]:
    def operation(action: str, channel: str, messages: list[str], summary: str) -> dict[str, Any]:
        return {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
            "summary": summary,
        }

    frames, of_comments, of_signals = _names(_FRAMES), _names(_FRAMES_OF_COMMENTS), _names(_FRAMES_OF_SIGNALS)
    return {
        "tellSocket": operation("send", "socket", frames, "What a client of the socket gets."),
        "setFilter": operation("receive", "socket", ["Filter"], "A client changes what it gets."),
        "tellEvents": operation("send", "events", frames, "What a client of the event stream gets, a frame an event."),
        "tellCommentSocket": operation(
            "send", "commentSocket", of_comments, "What a client of the socket of comments gets."
        ),
        "setCommentFilter": operation(
            "receive", "commentSocket", ["CommentFilter"], "A client changes which comments it gets."
        ),
        "tellCommentEvents": operation(
            "send", "commentEvents", of_comments, "What a client of the events of comments gets, a frame an event."
        ),
        "tellSignalSocket": operation(
            "send", "signalSocket", of_signals, "What a client of the socket of signals gets."
        ),
        "setSignalFilter": operation(
            "receive", "signalSocket", ["SignalFilter"], "A client changes which signals it gets."
        ),
        "tellSignalEvents": operation(
            "send", "signalEvents", of_signals, "What a client of the events of signals gets, a frame an event."
        ),
        "observeComments": operation("send", "comments", ["CommentEnvelope"], "The poller publishes what it saw."),
        "observe": operation("send", "raw", ["Envelope"], "The poller publishes what it saw."),
        "enrich": operation("send", "enriched", ["Enriched"], "The enrich agent publishes what it made of it."),
        "compare": operation(
            "send", "signal_inputs", ["SignalInput"], "The enrich agent publishes what signals are computed from."
        ),
        "mention": operation(
            "send", "term_inputs", ["TermInput"], "The enrich agent publishes which terms a new post has."
        ),
        "signal": operation("send", "signals", ["Signal"], "Two agents publish each signal that changed."),
        "setAside": operation("send", "dead_letters", ["DeadLetter"], "An agent sets a record aside."),
    }
