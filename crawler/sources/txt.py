"""Plain lists: a URL per line, or a value for a template. Owns nothing but that; comments and blanks are lines'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.items import Entry
from crawler.sources.lines import decode
from crawler.sources.templates import LINE
from crawler.sources.urls import check_url

if TYPE_CHECKING:
    from crawler.sources.making import Making


def parse_txt(line: int, raw: bytes) -> Entry:
    """The GET that a line stands for. Raises LineError or BadURLError."""
    url = decode(raw)
    target = check_url(url)
    return Entry(url=url, target=target.target, authorization=target.authorization, line=line)


def make_txt(making: Making, line: int, raw: bytes) -> Entry:
    """The call that the arguments make of a line, which is its key where it is no URL. Raises as `parse_txt` does."""
    text = decode(raw)
    key = text if making.url is not None else None
    return making.entry(line, {LINE: text}, url=text, key=key, meta={})
