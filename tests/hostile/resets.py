"""Connections that end at each place where they can: by a reset, by a FIN."""

from __future__ import annotations

from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import (
    FIN,
    PAUSE_S,
    RESET,
    VANISH,
    Behaviour,
    End,
    answer,
    blurts,
    head,
    says,
)

WORDS: Final = {RESET: "reset", FIN: "closed", VANISH: "closed without TLS's goodbye"}


def ended(name: str, where: str, sent: bytes, how: End, outcome: Outcome = Outcome.RESET) -> Behaviour:
    serve = says(sent, PAUSE_S, how) if sent else says(how)
    return Behaviour(name=f"{how.name.lower()}-{name}", note=f"{WORDS[how]} {where}", serve=serve, outcome=outcome)


def unread(how: End) -> Behaviour:
    return Behaviour(
        name=f"{how.name.lower()}-at-once",
        note=f"{WORDS[how]} before the request is read",
        serve=blurts(PAUSE_S, how),  # at once, it would be a connection that is refused
        outcome=Outcome.RESET,
    )


GROUP: Final = tuple(
    behaviour
    for how in (RESET, FIN, VANISH)
    for behaviour in (
        unread(how),
        ended("after-request", "after the request", b"", how),
        ended("in-status-line", "within the status line", b"HTTP/1.1 2", how),
        ended("after-status-line", "after the status line", b"HTTP/1.1 200 OK\r\n", how),
        ended("in-headers", "within a header", b"HTTP/1.1 200 OK\r\nContent-Le", how),
        ended("after-a-header", "after a header", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", how),
        ended("before-body", "before the body", head("Content-Length: 5"), how, Outcome.TRUNCATED),
        ended("in-body", "within the body", answer()[:-5], how, Outcome.TRUNCATED),
    )
)
