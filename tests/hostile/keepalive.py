"""Connections kept for the next request: each behaviour is two requests, the second one sent by a redirect.

The first answer leads to `/next`, on the connection that was kept if there still is one; what the record
holds is the answer to `/next`. What HTTP/1.1 cannot tell apart is not here: a response that was sent
unasked, and arrives when the next request is out already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.items import Outcome
from tests.hostile.behaviour import BODY, FIN, RESET, Behaviour, End, Serve, answer, chunked, head, perform

if TYPE_CHECKING:
    from tests.hostile.peer import Peer

POISON: Final = answer(b'{"poison": true}')
NOT_HERE: Final = answer(b'{"sent": "on the wrong connection"}')
TO_NEXT: Final = "Location: /next"


def leads(*lines: str, body: bytes = b"", start: str = "HTTP/1.1 302 Found") -> bytes:
    """The first answer."""
    return answer(body, TO_NEXT, *lines, start=start)


def then(first: bytes, *after: bytes | float | End) -> Serve:
    """Send *first*, do *after*, and answer whatever comes next, on this connection or another."""

    async def serve(peer: Peer) -> None:
        request = await peer.request()
        if request.target != "/next":
            await perform(peer, (first, *after))
            await peer.request()
        await peer.send(answer())

    return serve


def then_leaves(first: bytes) -> Serve:
    """Nothing more may come on the connection of the first answer; what does is answered wrongly."""

    async def serve(peer: Peer) -> None:
        if (await peer.request()).target != "/next":
            await peer.send(first)
            await peer.request()
            await peer.send(NOT_HERE)
        else:
            await peer.send(answer())

    return serve


def dies(how: End) -> Serve:
    """The kept connection takes the second request and ends; a new one answers."""

    async def serve(peer: Peer) -> None:
        if (await peer.request()).target != "/next":
            await peer.send(leads(start="HTTP/1.1 307 Temporary Redirect"))
            await peer.request()
            await peer.end(how)
        else:
            await peer.send(answer())

    return serve


def good(name: str, note: str, serve: Serve) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.OK, status=200)


GROUP: Final = (
    good("kept", "the connection is kept, and serves again", then(leads())),
    good(
        "kept-chunked",
        "kept behind a chunked body",
        then(head(TO_NEXT, "Transfer-Encoding: chunked", start="HTTP/1.1 302 F") + chunked(BODY)),
    ),
    good("kept-fin", "closed behind the answer, without saying so", then(leads(), FIN)),
    good("kept-reset", "reset behind the answer", then(leads(), RESET)),
    good("kept-dies-fin", "closed when the next request has come", dies(FIN)),
    good("kept-dies-reset", "reset when the next request has come", dies(RESET)),
    good("poison", "a second response in the same piece as the first one", then(leads() + POISON)),
    good("poison-five", "five more responses in the same piece", then(leads() + POISON * 5)),
    good(
        "poison-chunked",
        "a response behind the last chunk",
        then(head(TO_NEXT, "Transfer-Encoding: chunked", start="HTTP/1.1 302 F") + chunked() + POISON),
    ),
    good("poison-garbage", "garbage behind the response", then(leads() + b"\0\xffgarbage")),
    good("poison-line-ends", "empty lines behind the response", then(leads() + b"\r\n\r\n")),
    good("poison-length-short", "a body longer than its Content-Length", then(leads(body=b"ab") + POISON)),
    good(
        "poison-interim", "an interim response behind the final one", then(leads() + b"HTTP/1.1 100 Continue\r\n\r\n")
    ),
    good("close-ignored", "says Connection: close, and keeps it open", then_leaves(leads("Connection: close"))),
    good("close-ignored-1.0", "HTTP/1.0, and keeps it open", then_leaves(leads(start="HTTP/1.0 302 Found"))),
    good(
        "close-among-others", "Connection: foo, Close, and keeps it open", then_leaves(leads("Connection: foo, Close"))
    ),
    Behaviour(
        name="kept-dies-post",
        note="POST on a kept connection that closes when it has come: it may be done, and is not repeated",
        serve=dies(FIN),
        outcome=Outcome.UNKNOWN,
        method="POST",
        payload=b"order",
    ),
    Behaviour(
        name="kept-dies-post-empty",
        note="the same with no body",
        serve=dies(RESET),
        outcome=Outcome.UNKNOWN,
        method="POST",
    ),
    Behaviour(
        name="kept-dies-put",
        note="PUT, which may be repeated",
        serve=dies(FIN),
        outcome=Outcome.OK,
        status=200,
        method="PUT",
        payload=b"order",
    ),
)
