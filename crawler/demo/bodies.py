"""The documents the API serves. Pure: the same id gives the same bytes, in every process."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

ITEM_BYTES: Final = 20_600
"""Size of an item: the order of a typical API answer, and no multiple of any buffer."""

_READING: Final = (
    # What a careless program loses: 1.0 that becomes 1, 64 bits and more, escapes, characters beyond the BMP.
    '{"at": "2026-01-31T23:59:59.999Z", "value": 1.0, "sum": 18446744073709551617,'
    ' "unit": "°C", "note": "\\u00e9\\/\\n 🌡", "ok": true, "flag": null}'
)
_READING_BYTES: Final = len(_READING.encode()) + 1  # with its comma


def item_body(id: str, size: int = ITEM_BYTES) -> bytes:  # noqa: A002  # the member's own name
    """A JSON object of *size* bytes whose first and last members are the id.

    It is longer than *size* only where the id alone needs more room.
    """
    quoted = json.dumps(id).encode()
    head, tail = b'{"id": ' + quoted, b', "end": ' + quoted + b"}"
    return head + _filler(size - len(head) - len(tail)) + tail


@lru_cache
def _filler(size: int) -> bytes:
    """Members of an object, each with its comma before it; of *size* bytes, none when that is too few."""
    frame = ', "readings": [], "fill": ""'
    room = size - len(frame)
    if room < 0:
        return b"".ljust(size)  # spaces are nothing between members
    readings = ",".join([_READING] * (room // _READING_BYTES))
    fill = "x" * (room - len(readings.encode()))
    return f', "readings": [{readings}], "fill": "{fill}"'.encode()


def page_body(chain: str, page: int, following: str | None) -> bytes:
    """A page of ten items of a chain. following: path of the next page, None on the last one."""
    items = [{"id": f"{chain}-{page}-{n}", "name": f"Item {n} of page {page}"} for n in range(10)]
    return json_body({"chain": chain, "page": page, "items": items, "next": following})


def json_body(document: object) -> bytes:
    return json.dumps(document).encode()
