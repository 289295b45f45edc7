"""Frames as they are sent. The text of a frame is made once for all clients that get it."""

from collections.abc import Sequence
from functools import cached_property

from web.live.protocol import Error, ErrorCode, Heartbeat, Reset, encode_frame
from web.live.records import LiveRecord


class OutgoingFrame:
    """One frame: its JSON, its resume token if it has one, and the number of records in it."""

    def __init__(self, text: str, token: str | None = None, records: int = 0) -> None:
        self.text = text
        self.records = records
        self._token = token

    @cached_property
    def event(self) -> bytes:
        """The frame as a server-sent event, whose id is the resume token."""
        id_ = "" if self._token is None else f"id: {self._token}\n"
        return f"{id_}data: {self.text}\n\n".encode()


def records_frame(name: str, records: Sequence[LiveRecord], token: str) -> OutgoingFrame:
    """A frame of these records, put together from their JSON. `name`: the kind of the records.

    Of what was taken away only the id is told.
    """
    texts = ",".join([record.text for record in records if not record.is_removal])
    removed = ",".join([f'"{record.id}"' for record in records if record.is_removal])
    retract = f',"retract":[{removed}]' if removed else ""
    return OutgoingFrame(f'{{"type":"{name}","id":"{token}","{name}":[{texts}]{retract}}}', token, len(records))


def frame_with_token(frame: Heartbeat | Reset) -> OutgoingFrame:
    """The frame of a heartbeat, or of the message that missed records cannot be sent."""
    return OutgoingFrame(encode_frame(frame).decode(), frame.id)


def error_frame(code: ErrorCode, message: str) -> OutgoingFrame:
    """The frame that tells why a message was refused, or why the connection ends."""
    return OutgoingFrame(encode_frame(Error(code=code, message=message)).decode())
