"""GET as HTTP defines it, for all routes: HEAD answers like GET without a body, and 304 tells that nothing changed."""

from hashlib import blake2b

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_CONTENT_HEADERS = ("content-length", "content-type")


class HeadAsGet:
    """ASGI middleware: HEAD is routed as GET, and its body is dropped.

    Outside of compression, so the headers are the same as for GET.

    HEAD is not allowed on the paths `but`, where GET changes something.
    """

    def __init__(self, app: ASGIApp, but: frozenset[str]) -> None:
        self._app = app
        self._but = but

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] in self._but:
            return await self._app(scope, receive, send)
        ended = False

        async def without_body(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                # The first part ends the answer. For a stream this looks as if the client had disconnected.
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        return await self._app({**scope, "method": "GET"}, receive, without_body)


class ConditionalReads:
    """ASGI middleware: a weak ETag of the body for JSON that is sent in one piece, and 304 for a client that has it.

    Inside of compression, so that the tag depends on the content alone. Answers that must not be stored get no tag.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return await self._app(scope, receive, send)
        known = Headers(scope=scope).get("if-none-match", "")
        start: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_taggable(message):
                start = message
                return
            if start is not None and message["type"] == "http.response.body":
                begun, start = start, None
                if not message.get("more_body", False):
                    begun, message = _with_tag(begun, message, known)
                await send(begun)
            await send(message)

        return await self._app(scope, receive, tagged)


def _is_taggable(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == 200
        and headers.get("content-type", "").startswith("application/json")
        and "no-store" not in headers.get("cache-control", "")
        and "etag" not in headers
    )


def _with_tag(start: Message, body: Message, known: str) -> tuple[Message, Message]:
    tag = f'W/"{blake2b(body.get("body", b""), digest_size=12).hexdigest()}"'
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["ETag"] = tag
    # Only a private cache may keep it, and must ask each time: other users may see other answers, and all of them
    # change.
    headers.setdefault("Cache-Control", "private, no-cache")
    if not _names(known, tag):
        return {**start, "headers": headers.raw}, body
    for name in NO_CONTENT_HEADERS:
        del headers[name]
    return {**start, "status": 304, "headers": headers.raw}, {**body, "body": b""}


def _names(known: str, tag: str) -> bool:
    """Whether If-None-Match names the tag, compared weakly (RFC 9110, 8.8.3.2)."""
    given = {part.strip().removeprefix("W/") for part in known.split(",")}
    return "*" in given or tag.removeprefix("W/") in given
