"""The head of a response, from the lines that libcurl hands over. Pure but for Scrapy's Headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scrapy.http.headers import Headers

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


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
    start = max(at for at, line in enumerate(lines) if line.startswith(b"HTTP/"))
    version, _, rest = lines[start].partition(b" ")
    if not (rest[:3].isdigit() and rest[3:4] in b" \r\n"):
        raise ValueError("the status is no number of three digits")
    fields: list[tuple[bytes, bytes]] = []
    for line in lines[start + 1 :]:
        if line in {b"\r\n", b"\n"}:
            break
        name, colon, value = line.partition(b":")
        if line[:1] in b" \t" and fields:  # obs-fold, RFC 9112 section 5.2
            fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
        elif colon:
            bare = name.strip()
            if bare != name and bare.lower() in _FRAMING:  # libcurl knows it by its bare name alone
                raise ValueError("a space beside the name of a header that says where the body ends")
            fields.append((bare, value.strip()))
    else:
        raise EOFError
    protocol = "HTTP/2.0" if version == b"HTTP/2" else version.decode("latin-1")
    return Head(protocol, int(rest[:3]), Headers(fields))
