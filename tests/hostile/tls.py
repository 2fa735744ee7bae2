"""TLS: certificates that nobody vouches for, handshakes that fail, and ports that speak something else."""

from __future__ import annotations

from typing import Final

from crawler.items import Outcome
from tests.hostile.behaviour import (
    BODY,
    FIN,
    HANG,
    PAUSE_S,
    RESET,
    TLS,
    VANISH,
    Behaviour,
    Door,
    Serve,
    answer,
    blurts,
    chunked,
    head,
    says,
)

TLS_TO_PLAIN: Final = Door("https", None)
PLAIN_TO_TLS: Final = Door("http", "good")

ALERT: Final = bytes.fromhex("15 0303 0002 0228")
"""A record of TLS 1.2: the fatal alert handshake_failure (RFC 5246, section 7.2)."""


def refused(certificate: str, note: str) -> Behaviour:
    return Behaviour(
        name=f"tls-{certificate}", note=note, serve=says(answer()), outcome=Outcome.TLS,
        door=Door("https", certificate),
    )  # fmt: skip


def fails(name: str, note: str, serve: Serve, outcome: Outcome = Outcome.TLS, door: Door = TLS_TO_PLAIN) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=outcome, door=door)


def good(name: str, note: str, serve: Serve, door: Door = TLS) -> Behaviour:
    return Behaviour(name=name, note=note, serve=serve, outcome=Outcome.OK, status=200, door=door)


GROUP: Final = (
    good("tls", "a certificate of an authority that is trusted", says(answer())),
    good("tls-at-most-1.2", "TLS 1.2 at most", says(answer()), Door("https", "at-most-1.2")),
    good("tls-no-goodbye", "Content-Length, and no goodbye behind the body", says(answer(), VANISH)),
    good(
        "tls-no-goodbye-chunked",
        "chunks, and no goodbye behind the last one",
        says(head("Transfer-Encoding: chunked") + chunked(BODY), VANISH),
    ),
    refused("self-signed", "a certificate that vouches for itself"),
    refused("unknown-authority", "an authority that is not trusted"),
    refused("expired", "a certificate that expired yesterday"),
    refused("not-yet-valid", "a certificate that begins tomorrow"),
    refused("wrong-name", "a certificate for another name"),
    refused("wrong-address", "a certificate for another address"),
    refused("name-in-subject-only", "the right name in the subject, where nobody looks any more"),
    refused("signed-by-a-leaf", "a certificate that another server signed"),
    refused("at-most-1.0", "TLS 1.0 at most"),
    refused("asks-for-a-certificate", "the client must show a certificate, and has none (TLS 1.2)"),
    fails(
        "tls-cut-body",
        "no length, no goodbye: it may have been cut",
        says(head() + BODY, VANISH),
        Outcome.TRUNCATED,
        TLS,
    ),
    fails("tls-is-plain", "plain HTTP on the port for TLS", blurts(answer(), HANG)),
    fails("tls-is-silent", "accepts, and does not shake hands", blurts(HANG), Outcome.TIMEOUT),
    fails("tls-closes", "closed before the handshake", blurts(FIN)),
    fails("tls-resets", "reset before the handshake", blurts(PAUSE_S, RESET)),
    fails(
        "tls-handshake-cut",
        "closed within the first record of the handshake",
        blurts(b"\x16\x03\x03\x00\x7a\x02", PAUSE_S, FIN),
    ),
    fails("tls-garbage", "garbage instead of a handshake", blurts(b"\0" * 100, HANG)),
    fails("tls-alert", "an alert instead of a handshake", blurts(ALERT, HANG)),
    fails("plain-is-tls", "TLS on the port for plain HTTP", says(answer()), Outcome.RESET, PLAIN_TO_TLS),
    fails(
        "plain-is-alert",
        "TLS's alert as the answer to plain HTTP",
        says(ALERT),
        Outcome.BAD_RESPONSE,
        Door("http", None),
    ),
)
