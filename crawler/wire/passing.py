"""`${NAME}` in the list itself: how a value of `pass_env` stands in a URL, a header and a body.

Owns the writing of a value in each of them. Which names a list may use, and which hosts get their values, is known
to crawler.wire.filling.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from crawler.items import TICKET
from crawler.secrets import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scrapy import Request
    from scrapy.http.headers import Headers

    from crawler.items import Ticket

_OPENING: Final = b"${"


def fill_line(request: Request, values: Mapping[str, str]) -> dict[str, Any]:
    """Give the parts of a line's call that change: url, headers, body. Nothing of what a server or a page says.

    values: of the names that the list may use; other names stay as they are.
    """
    ticket: Ticket | None = request.meta.get(TICKET)
    if ticket is None or ticket.followed:
        return {}
    changed: dict[str, Any] = {}
    if "${" in request.url and not request.meta.get("redirect_times"):
        _add(changed, "url", request.url, fill(request.url, {name: _in_url(values[name]) for name in values}))
    if _OPENING in request.body:
        written = _writing(request.headers.get(b"Content-Type") or b"")
        body = request.body.decode("utf-8", "surrogateescape")
        filled = fill(body, {name: written(values[name]) for name in values})
        _add(changed, "body", request.body, filled.encode("utf-8", "surrogateescape"))
    headers = {name: held for name, held in dict.items(request.headers) if _OPENING in b"".join(held)}
    if headers:
        _add(changed, "headers", request.headers, _filled(request.headers, headers, values))
    return changed


def _add(changed: dict[str, Any], name: str, before: object, after: object) -> None:
    if after != before:
        changed[name] = after


def _filled(given: Headers, changing: Mapping[bytes, Sequence[bytes]], values: Mapping[str, str]) -> Headers:
    headers = given.copy()
    for name, held in changing.items():
        texts = [fill(value.decode("utf-8", "surrogateescape"), values) for value in held]
        headers.setlist(name, [text.encode("utf-8", "surrogateescape") for text in texts])
    return headers


def _in_url(value: str) -> str:
    return quote(value, safe="")


def _writing(content_type: bytes) -> Callable[[str], str]:
    """How a value is written in a body of that type, so that it stays one value."""
    kind = content_type.partition(b";")[0].strip().lower()
    if kind.endswith((b"/json", b"+json")):
        return lambda value: json.dumps(value, ensure_ascii=False)[1:-1]
    return quote_plus if kind == b"application/x-www-form-urlencoded" else str
