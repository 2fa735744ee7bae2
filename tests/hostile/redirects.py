"""Redirects: where they lead, how often, and what they take along.

`{name}` in a Location stands for the URL of another behaviour.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from crawler.items import Outcome
from tests.hostile.behaviour import BODY, MAX_BYTES, PLAIN, TLS, Behaviour, Door, Serve, answer, head, says

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.hostile.peer import Peer

SECRETS: Final = {"X-Api-Key": "secret", "Authorization": "Bearer secret", "Cookie": "a=secret"}
FOUND: Final = "HTTP/1.1 302 Found"


def leads(to: str, *lines: str, start: str = FOUND, body: bytes = b"") -> Serve:
    """Redirect the behaviour's own path there, and answer any other one."""

    async def serve(peer: Peer) -> None:
        async for request in peer.requests():
            if request.target == f"/{peer.name}":
                location = filled(to, {**peer.urls, "scheme": peer.urls[peer.name].partition(":")[0]})
                field = f"Location: {location}".encode("utf-8", "surrogateescape")
                await peer.send(answer(body, field, *lines, start=start))
            else:
                await peer.send(answer())

    return serve


def filled(location: str, urls: Mapping[str, str]) -> str:
    """`{name}`, `{authority name}` without the scheme, `{upper name}` with it in upper case; `{scheme}` alone."""

    def url(match: re.Match[str]) -> str:
        scheme, _, rest = urls[match[2]].partition("://")
        return {"authority": rest, "upper": f"{scheme.upper()}://{rest}"}.get(match[1], urls[match[2]])

    return re.sub(r"\{(?:(authority|upper) )?([a-z0-9-]+)\}", url, location)


def chain(hops: int) -> Serve:
    """That many redirects to paths of the same server, then the answer."""

    async def serve(peer: Peer) -> None:
        async for request in peer.requests():
            hop = int(request.target.partition("?")[2] or 0)
            await peer.send(answer() if hop == hops else answer(b"", f"Location: ?{hop + 1}", start=FOUND))

    return serve


def repeats(status: int) -> Serve:
    """Redirect, and say in the body which method came and whether a body did."""

    async def serve(peer: Peer) -> None:
        async for request in peer.requests():
            if request.target == f"/{peer.name}":
                await peer.send(answer(b"", "Location: /next", start=f"HTTP/1.1 {status} x"))
            else:
                await peer.send(answer(b"%b %d" % (request.method.encode(), len(request.body))))

    return serve


async def answer_strangers(peer: Peer) -> None:
    """The answer to who brings nothing of the user's."""
    async for request in peer.requests():
        brought = sorted({*request.headers} & {*map(str.lower, SECRETS), "referer", "cookie2"})
        await peer.send(answer(f"it brings {brought}".encode()) if brought else answer())


async def two_locations(peer: Peer) -> None:
    async for request in peer.requests():
        first = request.target == f"/{peer.name}"
        await peer.send(answer(b"", "Location: /a", "Location: /b", start=FOUND) if first else answer())


def good(
    name: str, note: str, serve: Serve, *, door: Door | None = None, headers: dict[str, str] | None = None
) -> Behaviour:
    return Behaviour(
        name=name, note=note, serve=serve, outcome=Outcome.OK, status=200, door=door, headers=headers or {}
    )


def bad(
    name: str,
    note: str,
    to: str,
    *,
    status: int = 302,
    method: str = "GET",
    payload: bytes = b"",
    door: Door | None = None,
) -> Behaviour:
    return Behaviour(
        name=name, note=note, serve=leads(to, start=f"HTTP/1.1 {status} x"), outcome=Outcome.BAD_REDIRECT,
        status=status, method=method, payload=payload, door=door,
    )  # fmt: skip


def sends(status: int, method: str, body: bytes) -> Behaviour:
    """A POST that is redirected within its origin, and what must come of it (RFC 9110, section 15.4)."""
    return Behaviour(
        name=f"redirect-{status}-post", note=f"{status} for a POST, within the origin: {method}", serve=repeats(status),
        outcome=Outcome.OK, status=200, method="POST", payload=b"order", body=body,
    )  # fmt: skip


def answered(name: str, note: str, status: int, response: bytes) -> Behaviour:
    return Behaviour(name=name, note=note, serve=says(response), outcome=Outcome.HTTP_ERROR, status=status)


FOLLOWED: Final = (
    *(
        good(f"redirect-{status}", f"{status}", leads("/next", start=f"HTTP/1.1 {status} x"))
        for status in (301, 302, 303, 307, 308)
    ),
    good("redirect-relative", "Location: next", leads("next")),
    good("redirect-query", "Location: ?q", leads("?q")),
    good("redirect-dots", "Location: ../../next", leads("../../next")),
    good("redirect-fragment", "Location: next#part", leads("next#part")),
    good("redirect-space", "a space in Location", leads("/a b")),
    good("redirect-utf-8", "UTF-8 in Location", leads("/schön")),
    good("redirect-no-scheme", "Location: //host/", leads("//{authority stranger}")),
    good("redirect-upper-case", "HTTP:// in upper case", leads("{upper stranger}")),
    good(
        "redirect-away", "to another origin, with a key: nothing is taken along", leads("{stranger}"), headers=SECRETS
    ),
    good(
        "redirect-away-and-back", "a page in between changes nothing of that", leads("{redirect-hop}"), headers=SECRETS
    ),
    good("redirect-hop", "to another origin", leads("{stranger}")),
    good(
        "redirect-referrer-policy",
        "Referrer-Policy: unsafe-url asks for the Referer",
        leads("{stranger}", "Referrer-Policy: unsafe-url"),
        headers=SECRETS,
    ),
    good("redirect-to-https", "from http to https", leads("{https-target}"), door=PLAIN),
    good("redirect-5", "a chain of five", chain(5)),
    good(
        "redirect-gzip",
        "a redirect whose body is said to be gzip, and is not",
        leads("/next", "Content-Encoding: gzip", body=b"x"),
    ),
    good("stranger", "what other redirects lead to", answer_strangers),
    good("https-target", "what other redirects lead to", answer_strangers, door=TLS),
    good("http-target", "what other redirects lead to", answer_strangers, door=PLAIN),
    sends(301, "GET", b"GET 0"),
    sends(302, "GET", b"GET 0"),
    sends(303, "GET", b"GET 0"),
    sends(307, "POST", b"POST 5"),
    sends(308, "POST", b"POST 5"),
)

REFUSED: Final = (
    Behaviour(name="redirect-6", note="a chain of six", serve=chain(6), outcome=Outcome.BAD_REDIRECT, status=302),
    bad("redirect-loop", "to itself", "/redirect-loop"),
    bad("redirect-empty", "an empty Location", ""),
    bad("redirect-to-http", "from https to http", "{http-target}", door=TLS),
    bad("redirect-file", "to file:", "file:///etc/passwd"),
    bad("redirect-data", "to data:", "data:application/json,{}"),
    bad("redirect-javascript", "to javascript:", "javascript:alert(1)"),
    bad("redirect-ftp", "to ftp:", "ftp://127.0.0.1/x"),
    bad("redirect-gopher", "to gopher:", "gopher://127.0.0.1:25/_HELO"),
    bad("redirect-port", "port 99999", "http://127.0.0.1:99999/"),
    bad("redirect-port-0", "port 0", "http://127.0.0.1:0/"),
    bad("redirect-port-word", "a port that is no number", "http://127.0.0.1:http/"),
    bad("redirect-ipv6", "half an IPv6 address", "http://[::1/"),
    bad("redirect-ipv6-zone", "an IPv6 address with a zone", "http://[fe80::1%25eth0]/"),
    replace(
        bad("redirect-no-host", "an empty host, which RFC 9110, section 4.2.1 has refused", "{scheme}:///next"),
    ),
    bad("redirect-space-in-host", "a space in the host", "http://a b/"),
    bad("redirect-credentials", "user and password", "http://user:secret@127.0.0.1/"),
    bad("redirect-control", "a control character", "/a\x01b"),
    bad("redirect-latin-1", "bytes that are no UTF-8", "/sch\udcf6n"),
    bad("redirect-70k", "a Location of 70 kB", "/" + "x" * 70_000),
    bad(
        "redirect-307-away",
        "307 for a POST, to another origin",
        "{stranger}",
        status=307,
        method="POST",
        payload=b"order",
    ),
    bad(
        "redirect-308-put-away",
        "308 for a PUT, to another origin",
        "{stranger}",
        status=308,
        method="PUT",
        payload=b"order",
    ),
    Behaviour(
        name="redirect-two-locations",
        note="two Locations that differ",
        serve=two_locations,
        outcome=Outcome.BAD_RESPONSE,
    ),
    Behaviour(
        name="redirect-refused",
        note="to a port that nobody listens on",
        serve=leads("{scheme}://127.0.0.1:1/"),
        outcome=Outcome.CONNECT,
    ),
    Behaviour(
        name="redirect-unknown",
        note="to a name that does not exist",
        serve=leads("{scheme}://name.invalid/"),
        outcome=Outcome.DNS,
    ),
    Behaviour(
        name="redirect-to-bad-tls",
        note="to a certificate that expired",
        serve=leads("{tls-expired}"),
        outcome=Outcome.TLS,
    ),
    Behaviour(
        name="redirect-to-silence",
        note="to a server that never answers",
        serve=leads("{never-answers}"),
        outcome=Outcome.TIMEOUT,
    ),
    Behaviour(
        name="redirect-large-body",
        note="a redirect with a body over DOWNLOAD_MAXSIZE",
        serve=leads("/next", body=bytes(MAX_BYTES + 1)),
        outcome=Outcome.TOO_LARGE,
    ),
    answered("redirect-no-location", "302 without Location", 302, head(start=FOUND)),
    answered(
        "redirect-300",
        "300 with Location, which is only a hint",
        300,
        answer(BODY, "Location: /next", start="HTTP/1.1 300 x"),
    ),
    answered("redirect-304", "304 with Location", 304, head("Location: /next", start="HTTP/1.1 304 x")),
    answered(
        "redirect-305",
        "305 with Location: no proxy is taken from a server",
        305,
        answer(BODY, "Location: http://127.0.0.1:1/", start="HTTP/1.1 305 x"),
    ),
)

GROUP: Final = (*FOLLOWED, *REFUSED)
