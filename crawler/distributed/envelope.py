"""What an entry of the shared list says: a line as JSON, and the name under which it is there once.

Knows no Redis. Whatever was added by somebody else is data to be checked: what is no call comes out as a BadLine.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from crawler.exceptions import BadURLError
from crawler.items import BadLine, Entry
from crawler.items.entry import uuid5_bytes
from crawler.sources import check_url

_SHOWN: Final = 1000  # characters of what cannot be read, as in any list


class _Envelope(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The keys are those of a line in JSON lines, where they say the same. bad: why the line is no call."""

    url: str
    line: int
    source: str | None = None
    method: str = "GET"
    headers: list[tuple[str, str]] = []
    body: bytes = b""  # base64 in JSON
    id: str | None = None
    meta: dict[str, Any] = {}
    n: int = 1
    bad: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Envelope)


def name_of(line: Entry | BadLine) -> bytes:
    """The 16 bytes under which a line is in the list once: the record's uuid; of a bad line, of where it stands."""
    if isinstance(line, Entry):
        return line.uuid
    return uuid5_bytes(json.dumps(["bad line", line.source, line.line]))


def encode(line: Entry | BadLine) -> bytes:
    """The line as the list holds it."""
    if isinstance(line, BadLine):
        return msgspec.json.encode(_Envelope(url=line.text, line=line.line, source=line.source, bad=line.reason))
    return msgspec.json.encode(
        _Envelope(
            url=line.url,
            line=line.line or 0,
            source=line.source,
            method=line.method,
            headers=[*line.headers],
            body=line.body,
            id=line.key,
            meta=dict(line.meta),
            n=line.n,
        )
    )


def decode(raw: bytes, *, number: int) -> Entry | BadLine:
    """The line again. number: stands for the line's of what is no envelope."""
    try:
        said = _DECODER.decode(raw)
        if said.bad is not None:
            return BadLine(line=said.line, text=said.url, reason=said.bad, source=said.source)
        target = check_url(said.url)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadURLError) as exc:
        text = raw[:_SHOWN].decode(errors="backslashreplace")
        return BadLine(line=number, text=text, reason=f"no entry that `scrapy enqueue` made: {exc}")
    return Entry(
        url=said.url, target=target.target, authorization=target.authorization, line=said.line, source=said.source,
        method=said.method, headers=tuple(said.headers), body=said.body, key=said.id, meta=said.meta, n=said.n,
    )  # fmt: skip
