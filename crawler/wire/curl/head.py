"""The head of a response, from the lines that libcurl hands over. Pure but for Scrapy's Headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scrapy.http.headers import Headers

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

_SEEN: Final[dict[bytes, tuple[bytes, bytes]]] = {}
_SEEN_AT_MOST: Final = 1000
_SEEN_BYTES: Final = 200
"""Lines as they came -> name as Headers keeps it, and value. Most of what an API says of an answer it says of each;
what changes, as the date, pushes it out now and then. So many lines, of so many bytes: a hostile one must not fill
the memory."""


@dataclass(frozen=True, slots=True)
class Head:
    """protocol: `HTTP/1.1`, as Scrapy's other handlers write it."""

    protocol: str
    status: int
    headers: Headers

    @property
    def content_length(self) -> int | None:
        value = self.headers.get(b"Content-Length")
        return int(value) if value is not None and value.isdigit() else None


def parse_head(lines: list[bytes]) -> Head:
    """The final head among *lines*: after interim responses, before the blank line and any trailers.

    Raises ValueError when it is malformed, EOFError when the blank line is missing: libcurl takes the end of
    the connection for the end of the head.
    """
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith(b"HTTP/"):
            break
    else:
        raise ValueError("there is no status line")
    version, _, rest = lines[start].partition(b" ")
    if not (rest[:3].isdigit() and rest[3:4] in b" \r\n"):
        raise ValueError("the status is no number of three digits")
    fields: dict[bytes, list[bytes]] = {}
    values: list[bytes] = []
    for line in lines[start + 1 :]:
        if line == b"\r\n" or line == b"\n":  # noqa: PLR1714  # half the cost of a set, for each line of each response
            break
        seen = _SEEN.get(line)
        if seen is None:
            if line[0] in b" \t" and values:  # obs-fold, RFC 9112 section 5.2
                values[-1] += b" " + line.strip()
                continue
            seen = _read(line)
            if seen is None:
                continue
        name, value = seen
        if name in fields:
            values = fields[name]
            values.append(value)
        else:
            values = fields[name] = [value]
    else:
        raise EOFError
    headers = Headers()
    dict.update(headers, fields)  # as Headers.update does with names and values that are normal already, as here
    return Head("HTTP/2.0" if version == b"HTTP/2" else version.decode("latin-1"), int(rest[:3]), headers)


def _read(line: bytes) -> tuple[bytes, bytes] | None:
    """Name and value of a line; None when it has no colon."""
    name, colon, value = line.partition(b":")
    if not colon:
        return None
    bare = name.strip()
    if bare != name and bare.lower() in _FRAMING:  # libcurl knows it by its bare name alone
        raise ValueError("a space beside the name of a header that says where the body ends")
    read = bare.title(), value.strip()
    if len(line) <= _SEEN_BYTES and line[0] not in b" \t":  # else it may be a fold another time
        if len(_SEEN) >= _SEEN_AT_MOST:
            _SEEN.clear()
        _SEEN[line] = read
    return read
