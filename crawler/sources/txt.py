"""Plain lists: a URL per line. Owns nothing but that; comments, blanks and URLs are its neighbours'."""

from __future__ import annotations

from crawler.items import Entry
from crawler.sources.lines import decode
from crawler.sources.urls import check_url


def parse_txt(line: int, raw: bytes) -> Entry:
    """The GET that a line stands for. Raises LineError or BadURLError."""
    url = decode(raw)
    target = check_url(url)
    return Entry(url=url, target=target.target, authorization=target.authorization, line=line)
