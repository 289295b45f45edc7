"""The resume token."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.errors import Invalid
from web.live.token import ResumeToken, decode_token, encode_token

TOPIC = UUID("12345678-1234-5678-1234-567812345678")
OFFSETS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=64)


@given(st.uuids(), OFFSETS)
def test_a_token_decodes_to_the_offsets_it_was_made_of(topic: UUID, offsets: list[int]) -> None:
    assert decode_token(encode_token(topic, offsets)) == ResumeToken(topic, tuple(offsets))


@given(st.uuids(), OFFSETS, st.data())
def test_a_token_has_only_one_text(topic: UUID, offsets: list[int], data: st.DataObject) -> None:
    """A changed text is refused, or decodes to other offsets: no change is overlooked."""
    text = encode_token(topic, offsets)
    index = data.draw(st.integers(0, len(text) - 1))
    changed = text[:index] + data.draw(st.characters(codec="utf-8")) + text[index + 1 :]
    try:
        token = decode_token(changed)
    except Invalid:
        return
    assert encode_token(token.topic, token.offsets) == changed


@given(st.text(max_size=100))
def test_any_other_text_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        decode_token(text)


def _encoded(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        encode_token(TOPIC, [5]) + "=",
        encode_token(TOPIC, [5]) + "\n",
        _encoded(b"\x02" + TOPIC.bytes + b"\x05"),
        _encoded(b"\x01" + TOPIC.bytes),
        _encoded(b"\x01" + TOPIC.bytes + b"\x85"),
        _encoded(b"\x01" + TOPIC.bytes + b"\x85\x00"),
        _encoded(b"\x01" + TOPIC.bytes + b"\xff" * 9 + b"\x01"),
        _encoded(b"\x01" + TOPIC.bytes + b"\x05" * 9000),
    ],
    ids=["empty", "padded", "newline", "version", "no offsets", "cut off", "too many bytes", "2^63", "too long"],
)
def test_a_damaged_token_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_token(text)
    assert caught.value.field == "since"


def test_a_token_of_twelve_partitions_fits_an_address() -> None:
    assert len(encode_token(TOPIC, [10**9] * 12)) < 110
