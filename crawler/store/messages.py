"""What goes over the socket between the engine and the writer's process: frames of MessagePack.

A frame is its length in 4 bytes, little-endian, then a tagged array. Bodies travel as they are. Nothing
is pickled: what the other side does with a frame is decided there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  # msgspec reads the annotations
from typing import Any, Final

import msgspec

from crawler.items import Entry, Prior, Record  # noqa: TC001

PREFIX: Final = 4


class Call(msgspec.Struct, array_like=True, frozen=True):
    """A Ticket on the wire. parent: the uuid of the page that led to it."""

    entry: Entry
    uuid: bytes
    shown_url: str
    prior: Prior | None
    row: int | None
    parent: bytes | None
    callback: str | None
    errback: str | None
    cb_kwargs: Mapping[str, Any]
    request_meta: Mapping[str, Any]


class Put(msgspec.Struct, array_like=True, frozen=True, tag="put"):
    """A record to be made durable, with the pages it led to."""

    record: Record
    body: bytes | None
    call: Call | None
    children: list[Call]


class Sent(msgspec.Struct, array_like=True, frozen=True, tag="sent"):
    """A call that may not be repeated is about to go out."""

    call: Call
    list_id: int | None


class Moved(msgspec.Struct, array_like=True, frozen=True, tag="moved"):
    """Rows were seen under other lines: (list, line, row) each."""

    rows: list[tuple[int, int | None, int]]


class Second(msgspec.Struct, array_like=True, frozen=True, tag="second"):
    """A row of the timeline."""

    values: list[Any]


Message = Put | Sent | Moved | Second


class Stored(msgspec.Struct, array_like=True, frozen=True):
    """What the store adds to a record: its location, length and digests, all None without a body."""

    location: str | None
    bytes: int | None
    sha256: str | None
    file_digest: str | None


class Committed(msgspec.Struct, array_like=True, frozen=True, tag="committed"):
    """The next so many messages are durable. stored: one for each record among them, in order."""

    messages: int
    stored: list[Stored]


class Failed(msgspec.Struct, array_like=True, frozen=True, tag="failed"):
    """The writer has ended. disk: the disk refused; else it is a bug."""

    error: str
    disk: bool


Answer = Committed | Failed

_encode: Final = msgspec.msgpack.Encoder().encode


def frame(message: Message | Answer) -> bytes:
    payload = _encode(message)
    return len(payload).to_bytes(PREFIX, "little") + payload


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self, kind: Any) -> None:
        """kind: Message or Answer."""
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that *data* completes."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= PREFIX:
            end = at + PREFIX + int.from_bytes(buffer[at : at + PREFIX], "little")
            if end > len(buffer):
                break
            yield self._decode(memoryview(buffer)[at + PREFIX : end])
            at = end
        del buffer[:at]
