"""An export holds a slot for as long as its answer takes, however that ends."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from web.api.exports.endpoints import _File
from web.slots import Slots

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}, "extensions": {}}


async def two_parts(slots: Slots) -> AsyncGenerator[bytes]:
    with slots.taken():
        yield b"a"
        yield b"b"


async def export(slots: Slots) -> _File:
    rest = two_parts(slots)
    return _File(await anext(rest), rest, "text/csv", "posts.csv")


async def nothing() -> Any:
    return {"type": "http.request"}


async def test_a_slot_is_taken_from_the_first_part_to_the_last() -> None:
    slots = Slots(1, "exports")
    answer = await export(slots)
    with pytest.raises(HTTPException, match="writes 1 exports at once") as refused:
        await export(slots)
    assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "30"})
    sent = []

    async def send(message: Any) -> None:
        sent.append(message.get("body"))

    await answer(SCOPE, nothing, send)
    assert sent[1:] == [b"a", b"b", b""]
    await export(slots)


@pytest.mark.parametrize("messages", [0, 1, 2])
async def test_a_client_that_goes_away_frees_its_slot(messages: int) -> None:
    slots, sent = Slots(1, "exports"), []

    async def send(message: Any) -> None:
        if len(sent) == messages:
            raise OSError
        sent.append(message)

    answer = await export(slots)
    with pytest.raises(ClientDisconnect):
        await answer(SCOPE, nothing, send)
    with slots.taken():
        assert len(sent) == messages
