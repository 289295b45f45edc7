"""The AsyncAPI 3 document: topics and live stream, from the types that encode and decode them."""

from importlib.metadata import version
from typing import Any

import msgspec

from signalflow.events import Enriched, Envelope
from signalflow.kafka.topics import TopicNames
from signalflow.schemas import ecma
from signalflow.settings import Settings
from web.api.live.subscription import parameters
from web.live.protocol import Error, Filter, Heartbeat, Posts, Reset

_FRAMES = (Posts, Heartbeat, Reset, Error)
_SCHEMAS = "#/components/schemas/"
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
        [*_FRAMES, Filter, Envelope, Enriched], ref_template=_SCHEMAS + "{name}"
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


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _messages() -> dict[str, Any]:
    live = {
        type_.__name__: {"name": type_.__name__.lower(), "payload": _ref("schemas", type_.__name__)}
        for type_ in (*_FRAMES, Filter)
    }
    dead_letter_headers = {f"dlq_{name}": {"type": "string"} for name in _DEAD_LETTER_HEADERS}
    return live | {
        "Envelope": {
            "name": "envelope",
            "summary": "One observation of a post; the key is the post's id.",
            "headers": {
                "type": "object",
                "properties": {
                    name: {"type": "string"} for name in ("entity_type", "mode", "schema_version", "subreddit")
                },
            },
            "payload": _ref("schemas", "Envelope"),
        },
        "Enriched": {
            "name": "enriched",
            "summary": "An observation with velocity, text features and trending score; the key is the post's id.",
            "payload": _ref("schemas", "Enriched"),
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
    query = {
        "type": "object",
        "properties": {given["name"]: given["schema"] for given in parameters() if given["in"] == "query"},
    }

    def channel(address: str, server: str, messages: list[str], **bindings: Any) -> dict[str, Any]:
        return {
            "address": address,
            "servers": [{"$ref": f"#/servers/{server}"}],
            "messages": {name: _ref("messages", name) for name in messages},
            "bindings": bindings,
        }

    kafka = {"partitions": settings.topic_partitions, "replicas": settings.topic_replication}
    frames = [type_.__name__ for type_ in _FRAMES]
    return {
        "socket": channel("/ws/posts/", "api", [*frames, "Filter"], ws={"method": "GET", "query": query}),
        "events": channel("/api/stream", "api", frames, http={"method": "GET", "query": query}),
        "raw": channel(names.posts_raw, "kafka", ["Envelope"], kafka=kafka),
        "enriched": channel(names.posts_enriched, "kafka", ["Enriched"], kafka=kafka),
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

    frames = [type_.__name__ for type_ in _FRAMES]
    return {
        "tellSocket": operation("send", "socket", frames, "What a client of the socket gets."),
        "setFilter": operation("receive", "socket", ["Filter"], "A client changes what it gets."),
        "tellEvents": operation("send", "events", frames, "What a client of the event stream gets, a frame an event."),
        "observe": operation("send", "raw", ["Envelope"], "The poller publishes what it saw."),
        "enrich": operation("send", "enriched", ["Enriched"], "The enrich agent publishes what it made of it."),
        "setAside": operation("send", "dead_letters", ["DeadLetter"], "An agent sets a record aside."),
    }
