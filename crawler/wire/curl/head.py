"""The head of a response, from the lines that libcurl hands over. Pure but for Scrapy's Headers."""

from __future__ import annotations

from dataclasses import dataclass

from scrapy.http.headers import Headers


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
    """The final head among *lines*: after interim responses, before the blank line and any trailers."""
    start = max(at for at, line in enumerate(lines) if line.startswith(b"HTTP/"))
    version, _, rest = lines[start].partition(b" ")
    fields: list[tuple[bytes, bytes]] = []
    for line in lines[start + 1 :]:
        if line in {b"\r\n", b"\n"}:
            break
        name, colon, value = line.partition(b":")
        if line[:1] in b" \t" and fields:  # obs-fold, RFC 9112 section 5.2
            fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
        elif colon:
            fields.append((name.strip(), value.strip()))
    protocol = "HTTP/2.0" if version == b"HTTP/2" else version.decode("latin-1")
    return Head(protocol, int(rest[:3]), Headers(fields))
