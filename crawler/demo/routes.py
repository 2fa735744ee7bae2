"""What each path answers. Knows no bytes on the wire, and counts nothing: a Call says how often it came."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from crawler.demo.bodies import ITEM_BYTES, item_body, json_body, page_body
from crawler.demo.messages import Answer, BadRequestError, Ending, Request
from crawler.demo.params import Params, field_value, natural


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request on its way to a route.

    name: what follows the route's own segment in the path, as written, not decoded.
    times: how often this path and query was asked for, this time included.
    """

    request: Request
    params: Params
    name: str
    times: int


Route = Callable[[Call], Answer]


def error(status: int, message: str) -> Answer:
    return Answer(status=status, body=json_body({"error": message, "status": status}))


def item(call: Call) -> Answer:
    return Answer(body=item_body(call.name, call.params.size(ITEM_BYTES)))


def missing(call: Call) -> Answer:
    return error(404, f"there is no {call.request.path}")


def flaky(call: Call) -> Answer:
    return error(503, "try again") if call.times == 1 else item(call)


def fail(call: Call) -> Answer:
    """`times` answers (3) with `status` (500), then the item."""
    if call.times > call.params.number("times", 3):
        return item(call)
    return error(_final(call.params.number("status", 500)), f"failure number {call.times}")


def status(call: Call) -> Answer:
    code = _final(natural(call.name, "status"))
    return error(code, "as asked for") if code >= 400 else Answer(status=code, body=json_body({"status": code}))


def page(call: Call) -> Answer:
    """`/pages/{chain}/{n}` of `last` (20) pages; the query goes on from page to page."""
    chain, _, number = call.name.rpartition("/")
    n, last = natural(number, "page"), call.params.number("last", 20)
    if not chain or n > last:
        return missing(call)
    query = f"?{call.request.query}" if call.request.query else ""
    following = f"/pages/{chain}/{n + 1}{query}" if n < last else None
    return Answer(body=page_body(chain, n, following))


def echo(call: Call) -> Answer:
    request = call.request
    document = {
        "method": request.method,
        "target": request.target,
        "headers": request.headers,
        "body_base64": base64.b64encode(request.body).decode(),
    }
    return Answer(body=json_body(document))


def redirect(call: Call) -> Answer:
    """To `to`, any text at all, with `status` (302)."""
    location = call.params.text("to")
    code = _final(call.params.number("status", 302))
    return Answer(status=code, body=json_body({"to": location}), headers=(("Location", field_value(location)),))


def headers(call: Call) -> Answer:
    """Many headers, some repeated, two not ASCII; 304 to a client that has this version already."""
    fields = (
        ("ETag", b'"v1"'),
        ("Last-Modified", b"Sat, 31 Jan 2026 23:59:59 GMT"),
        ("Cache-Control", b"max-age=60"),
        ("Set-Cookie", b"session=1; HttpOnly"),
        ("Set-Cookie", b"theme=dark"),
        ("Link", b'</items/2>; rel="next"'),
        ("X-RateLimit-Limit", b"100"),
        ("X-RateLimit-Remaining", b"99"),
        ("X-Empty", b""),
        ("X-Latin-1", "café".encode("latin-1")),  # the charset of old (RFC 9110, section 5.5)
        ("X-UTF-8", "café ☕".encode()),
        *((f"X-Many-{n:02}", b"%d" % n) for n in range(20)),
    )
    known = call.request.header("if-none-match") == '"v1"'
    return Answer(status=304 if known else 200, body=json_body({"version": 1}), headers=fields)


def cut(call: Call) -> Answer:
    return Answer(body=item(call).body, ending=Ending.CUT)


def drop(_call: Call) -> Answer:
    return Answer(ending=Ending.DROP)


def hang(_call: Call) -> Answer:
    return Answer(ending=Ending.HANG)


ROUTES: Final[dict[str, Route]] = {
    "items": item,
    "slow": item,
    "missing": missing,
    "flaky": flaky,
    "fail": fail,
    "status": status,
    "pages": page,
    "echo": echo,
    "redirect": redirect,
    "headers": headers,
    "cut": cut,
    "drop": drop,
    "hang": hang,
}
"""First segment of the path -> its route, for any method."""


def _final(code: int) -> int:
    if not 200 <= code <= 999:  # below, more would have to follow; above, it is no status line
        raise BadRequestError("status: not from 200 to 999")
    return code
